import { Migration } from '@mikro-orm/migrations';

/** What a sandbox was in the middle of and held at each transition, and indexes for what happened to a team's sandboxes. */
export class MomentsMigration extends Migration {
  override name = 'Migration20261127000000_moments';

  override up(): void {
    this.addSql('alter table "transitions" add column "moment" jsonb null');
    this.addSql(
      'create index "transitions_team_id_at_sandbox_id_seq_index" on "transitions" ("team_id", "at", "sandbox_id", "seq")',
    );
    this.addSql(
      `create index "sandboxes_team_id_updated_at_index" on "sandboxes" ("team_id", "updated_at") where state = 'failed'`,
    );
  }

  override down(): void {
    this.addSql('drop index "sandboxes_team_id_updated_at_index"');
    this.addSql('drop index "transitions_team_id_at_sandbox_id_seq_index"');
    this.addSql('alter table "transitions" drop column "moment"');
  }
}
