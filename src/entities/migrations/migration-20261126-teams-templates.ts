import { Migration } from '@mikro-orm/migrations';

/** All of a template, quotas of teams, and the audit log. */
export class TeamsTemplatesMigration extends Migration {
  override name = 'Migration20261126120000_teams_templates';

  override up(): void {
    this.addSql(`alter table "teams"
      add column "quota_sandboxes" int null,
      add column "quota_vcpus" int null,
      add column "quota_memory_mb" int null,
      add column "quota_disk_mb" int null`);
    this.addSql('alter table "sandboxes" add column "reserved_disk_mb" int null');
    this.addSql(
      `create index "sandboxes_team_id_index" on "sandboxes" ("team_id") where state not in ('destroyed', 'failed')`,
    );
    this.addSql(`alter table "templates"
      add column "id" text null,
      add column "memory" boolean null,
      add column "vcpus" int null,
      add column "memory_mb" int null,
      add column "disk_size_mb" int null,
      add column "user" text null,
      add column "cwd" text null,
      add column "env" jsonb null,
      add column "start_cmd" text null,
      add column "ready_cmd" text null,
      add column "source_sandbox_id" text null,
      add column "host_id" text null,
      add column "seen_at" timestamptz(3) null`);
    // Until its host tells all of it: what every sandbox had that named nothing. Nobody wrote down which host that is.
    this.addSql(`update "templates" set
      "id" = "name", "memory" = false, "vcpus" = 1, "memory_mb" = 512, "disk_size_mb" = greatest(20480, "size_mb"),
      "env" = '{}', "host_id" = '', "seen_at" = "created_at"`);
    const required = ['id', 'memory', 'vcpus', 'memory_mb', 'disk_size_mb', 'env', 'host_id', 'seen_at'];
    this.addSql(
      `alter table "templates" ${required.map((column) => `alter column "${column}" set not null`).join(', ')}`,
    );
    this.addSql(`create table "audit_log" (
      "at" timestamptz(3) not null,
      "id" text not null,
      "team_id" uuid null,
      "key_id" uuid null,
      "address" text not null,
      "action" text not null,
      "target" text null,
      "status" int not null,
      "code" text null,
      primary key ("at", "id")
    )`);
    this.addSql('create index "audit_log_team_id_at_id_index" on "audit_log" ("team_id", "at", "id")');
  }

  override down(): void {
    this.addSql('drop table "audit_log"');
    this.addSql(`alter table "templates"
      drop column "id", drop column "memory", drop column "vcpus", drop column "memory_mb", drop column "disk_size_mb",
      drop column "user", drop column "cwd", drop column "env", drop column "start_cmd", drop column "ready_cmd",
      drop column "source_sandbox_id", drop column "host_id", drop column "seen_at"`);
    this.addSql('drop index "sandboxes_team_id_index"');
    this.addSql('alter table "sandboxes" drop column "reserved_disk_mb"');
    this.addSql(`alter table "teams"
      drop column "quota_sandboxes", drop column "quota_vcpus", drop column "quota_memory_mb", drop column "quota_disk_mb"`);
  }
}
