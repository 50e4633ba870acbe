import { Migration } from '@mikro-orm/migrations';

/** The first tables, and the platform's team. */
export class RecordsMigration extends Migration {
  override name = 'Migration20261124000000_records';

  override up(): void {
    this.addSql(`create table "teams" (
      "id" uuid not null,
      "name" text not null,
      "created_at" timestamptz(3) not null default now(),
      primary key ("id")
    )`);
    this.addSql(`create table "api_keys" (
      "id" uuid not null,
      "team_id" uuid not null,
      "hash" text not null,
      "prefix" text not null,
      "name" text not null,
      "scopes" text[] not null,
      "created_at" timestamptz(3) not null default now(),
      "last_used_at" timestamptz(3) null,
      "expires_at" timestamptz(3) null,
      "revoked_at" timestamptz(3) null,
      primary key ("id"),
      constraint "api_keys_hash_unique" unique ("hash"),
      constraint "api_keys_team_id_foreign" foreign key ("team_id") references "teams" ("id") on delete cascade
    )`);
    this.addSql(`create table "hosts" (
      "id" text not null,
      "version" text not null,
      "state" text not null,
      "info" jsonb not null,
      "seen_at" timestamptz(3) not null,
      primary key ("id")
    )`);
    this.addSql(`create table "templates" (
      "team_id" uuid not null,
      "name" text not null,
      "kind" text not null,
      "size_mb" int not null,
      "allocated_bytes" bigint not null,
      "created_at" timestamptz(3) not null default now(),
      primary key ("team_id", "name"),
      constraint "templates_kind_check" check ("kind" in ('base', 'snapshot'))
    )`);
    this.addSql(`create table "sandboxes" (
      "id" text not null,
      "team_id" uuid not null,
      "host_id" text null,
      "template" text not null,
      "state" text not null,
      "step" text null,
      "vcpus" int not null,
      "memory_mb" int not null,
      "disk_size_mb" int not null default 20480,
      "timeout_s" int not null,
      "on_timeout" text not null,
      "auto_resume" boolean not null,
      "metadata" jsonb not null,
      "allowed" text[] not null,
      "idempotency_key" text null,
      "request_hash" text null,
      "seq" int not null,
      "execution" int not null,
      "last_error" jsonb null,
      "created_at" timestamptz(3) not null,
      "updated_at" timestamptz(3) not null,
      "expires_at" timestamptz(3) null,
      "destroyed_at" timestamptz(3) null,
      primary key ("id"),
      constraint "sandboxes_on_timeout_check" check ("on_timeout" in ('pause', 'destroy'))
    )`);
    this.addSql(
      'create index "sandboxes_team_id_created_at_id_index" on "sandboxes" ("team_id", "created_at", "id")',
    );
    this.addSql('create index "sandboxes_metadata_index" on "sandboxes" using gin ("metadata")');
    this.addSql(`create table "transitions" (
      "sandbox_id" text not null,
      "seq" int not null,
      "v" int not null,
      "team_id" uuid not null,
      "host_id" text not null,
      "execution" int not null,
      "at" timestamptz(3) not null,
      "from" text null,
      "to" text not null,
      "cause" text not null,
      "command_id" text null,
      "step" text null,
      "step_duration_ms" double precision null,
      "error" jsonb null,
      "sandbox" jsonb not null,
      primary key ("sandbox_id", "seq")
    )`);
    // The id is written out: a migration stays what it was when constants of the program change.
    this.addSql(
      `insert into "teams" ("id", "name") values ('00000000-0000-0000-0000-000000000000', 'platform')`,
    );
  }

  override down(): void {
    for (const table of ['transitions', 'sandboxes', 'templates', 'hosts', 'api_keys', 'teams'])
      this.addSql(`drop table "${table}"`);
  }
}
