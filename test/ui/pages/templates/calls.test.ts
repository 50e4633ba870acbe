import t from 'tap';
import { TemplateSpec } from '../../../../src/actors/host/template-protocol.ts';
import { problemsOf } from '../../../../src/bus/schema.ts';
import {
  badLineOf,
  deleteTemplateCall,
  fromSandboxCall,
  type TemplateForm,
  uploadCall,
} from '../../../../src/ui/pages/templates/calls.ts';

const empty: TemplateForm = {
  name: 'python',
  format: 'auto',
  vcpus: '',
  memory_mb: '',
  disk_size_mb: '',
  user: '',
  cwd: '',
  env: '',
  start_cmd: '',
  ready_cmd: '',
  overwrite: false,
  isPlatform: false,
};
const filled: TemplateForm = {
  ...empty,
  format: 'tar',
  vcpus: '2',
  memory_mb: '256',
  cwd: '/srv',
  env: 'GREETING=a=b & c\n\nEMPTY=',
  start_cmd: 'exec python3 /srv/count.py',
  overwrite: true,
  isPlatform: true,
};

t.test('what is not filled in is not said', async (t) => {
  t.equal(uploadCall(empty, 'rootfs.tar.gz').path, '/v1/templates?name=python');
  t.same(fromSandboxCall(empty, 'sb-aqwzlq2j3g3zo5y5uutk').body, {
    name: 'python',
    sandbox_id: 'sb-aqwzlq2j3g3zo5y5uutk',
    overwrite: false,
  });
});

t.test('everything that is filled in comes to the server', async (t) => {
  const { path, headers } = uploadCall(filled, 'rootfs.tar');
  const query = Object.fromEntries(new URL(path, 'http://x').searchParams);
  t.same(query, {
    name: 'python',
    format: 'tar',
    vcpus: '2',
    memory_mb: '256',
    cwd: '/srv',
    start_cmd: 'exec python3 /srv/count.py',
    'env.GREETING': 'a=b & c',
    'env.EMPTY': '',
    overwrite: 'true',
    team: 'platform',
  });
  t.same(headers, { 'content-type': 'application/x-tar' });
});

t.test('from a sandbox all is in the body', async (t) => {
  const { path, body } = fromSandboxCall(filled, 'sb-aqwzlq2j3g3zo5y5uutk');
  t.equal(path, '/v1/templates?team=platform');
  const { sandbox_id, overwrite, ...spec } = body as Record<string, unknown>;
  t.same({ sandbox_id, overwrite }, { sandbox_id: 'sb-aqwzlq2j3g3zo5y5uutk', overwrite: true });
  t.same(problemsOf(TemplateSpec, spec), [], 'the host knows every field');
  t.match(spec, { vcpus: 2, env: { GREETING: 'a=b & c', EMPTY: '' } });
});

t.test('a line of the environment that says nothing is refused', async (t) => {
  t.equal(badLineOf(filled.env), undefined);
  t.equal(badLineOf(''), undefined);
  t.equal(badLineOf('A=1\nnonsense\nB=2'), 'nonsense');
  t.equal(badLineOf('=1'), '=1');
  t.equal(badLineOf('A=1\n n'), ' n');
});

t.test('a file is sent as what its name says', async (t) => {
  const types = ['a.tgz', 'a.tar.zst', 'a.XZ', 'image.ext4', 'noending'].map(
    (name) => uploadCall(empty, name).headers?.['content-type'],
  );
  t.same(types, [
    'application/gzip',
    'application/zstd',
    'application/x-xz',
    'application/octet-stream',
    'application/octet-stream',
  ]);
});

t.test('a template of the platform is deleted as that', async (t) => {
  t.equal(
    deleteTemplateCall({ name: 'minimal', owner: 'platform' }).path,
    '/v1/templates/minimal?team=platform',
  );
  t.equal(deleteTemplateCall({ name: 'a.b', owner: 'team' }).path, '/v1/templates/a.b');
});
