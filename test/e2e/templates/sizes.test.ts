import t from 'tap';
import { dormouse, http, run, type View } from '../../support/dormouse.ts';
import { bodyOf, create, destroy, SHAPE, up } from './support.ts';

/** `disk_size_mb` from the request to the guest's `df`. */

t.setTimeout(600_000);

const IMAGE_MB = 256;
const server = await up(t, { DORMOUSE_IMAGE_SIZE_MB: String(IMAGE_MB) });

/** Size of the root file system as the guest sees it, in MiB: less than the disk by its own tables. */
const seen = async (id: string): Promise<number> =>
  Number(await run(server, id, "df -m / | awk 'NR==2 { print $2 }'"));
const isAbout = (mb: number, diskMb: number): boolean => mb > diskMb * 0.88 && mb <= diskMb;

t.test('a guest sees the size that was asked for', async (t) => {
  for (const disk_size_mb of [512, 3000]) {
    const { id, disk_size_mb: told } = await create(server, { template: 'minimal', ...SHAPE, disk_size_mb });
    t.equal(told, disk_size_mb);
    const mb = await seen(id);
    t.ok(isAbout(mb, disk_size_mb), `${mb} of ${disk_size_mb} MiB`);
    await destroy(server, id);
  }
});

t.test('smaller than the template is refused, with both numbers', async (t) => {
  const { status, body } = await http(server, 'POST', '/sandboxes', {
    template: 'minimal',
    disk_size_mb: 100,
  });
  t.equal(status, 400);
  t.match(body, { code: 'INVALID_SIZE' });
  t.match(String(body.detail), /\b100\b/);
  t.match(String(body.detail), new RegExp(`\\b${IMAGE_MB}\\b`));
});

t.test('the disk of a paused sandbox grows, and its programs go on', async (t) => {
  const { id } = await create(server, { template: 'minimal', ...SHAPE, disk_size_mb: 512 });
  await run(server, id, 'echo kept > /root/note; sync; echo awake > /run/note');
  const resize = (disk_size_mb: number) => http<View>(server, 'PATCH', `/sandboxes/${id}`, { disk_size_mb });
  t.match(await resize(1024), { status: 409, body: { code: 'SANDBOX_WRONG_STATE' } });
  bodyOf(await http(server, 'POST', `/sandboxes/${id}/pause`), 200);
  const smaller = await resize(256);
  t.match(smaller, { status: 400, body: { code: 'INVALID_SIZE' } });
  t.match(String(smaller.body.detail), /\b256\b.*\b512\b|\b512\b.*\b256\b/s);
  t.equal(bodyOf(await resize(1024), 200).disk_size_mb, 1024);
  bodyOf(await http(server, 'POST', `/sandboxes/${id}/resume`), 200);
  const mb = await seen(id);
  t.ok(isAbout(mb, 1024), `${mb} of 1024 MiB`);
  t.equal(await run(server, id, 'cat /root/note /run/note'), 'kept\nawake');

  bodyOf(await http(server, 'POST', `/sandboxes/${id}/pause`), 200);
  const grown = await dormouse(['sandbox', 'resize', id, '--disk-size-mb', '2048'], {
    DORMOUSE_DATA_DIR: server.dataDir,
  });
  t.equal(grown.exitCode, 0, grown.stderr);
  bodyOf(await http(server, 'POST', `/sandboxes/${id}/restart`), 200);
  const after = await seen(id);
  t.ok(isAbout(after, 2048), `${after} of 2048 MiB after a restart`);
  t.equal(await run(server, id, 'cat /root/note'), 'kept');
  await destroy(server, id);
});
