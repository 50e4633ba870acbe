import { Migration } from '@mikro-orm/migrations';

/** An index for the sandboxes that a host is said to keep. */
export class HostIndexMigration extends Migration {
  override name = 'Migration20261126000000_host_index';

  override up(): void {
    this.addSql(
      `create index "sandboxes_host_id_id_index" on "sandboxes" ("host_id", "id") where state not in ('destroyed', 'failed')`,
    );
  }

  override down(): void {
    this.addSql('drop index "sandboxes_host_id_id_index"');
  }
}
