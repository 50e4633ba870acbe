import { Migration } from '@mikro-orm/migrations';

/**
 * Indexes for sandboxes that were inferred to be lost, and for what a key did. Not `concurrently`: that waits for all statements
 * that began before, and a process that waits for the lock of the migrations is at one.
 */
export class LostAndKeysMigration extends Migration {
  override name = 'Migration20261127120000_lost_and_keys';

  override up(): void {
    this.addSql(
      `create index "transitions_team_id_at_index" on "transitions" ("team_id", "at") where cause = 'lost'`,
    );
    this.addSql('create index "audit_log_key_id_at_id_index" on "audit_log" ("key_id", "at", "id")');
  }

  override down(): void {
    this.addSql('drop index "audit_log_key_id_at_id_index"');
    this.addSql('drop index "transitions_team_id_at_index"');
  }
}
