import fc from 'fast-check';
import t from 'tap';
import { CHUNK_BYTES, CHUNK_SECTORS, cowBytes } from '../../../../src/drivers/disk/device-mapper/cow-size.ts';

/** That the kernel needs exactly this is shown where there is one: test/device-mapper/inside/limits.test.ts. */

const seed = Number(process.env.DORMOUSE_TEST_SEED ?? Date.now() % 2 ** 31);
t.comment(`seed ${seed}; repeat with DORMOUSE_TEST_SEED`);

/**
 * Walks through the exception store as the kernel does, one chunk after the other (`persistent_prepare_exception` and
 * `persistent_commit_exception`), and returns the highest chunk that it touches.
 */
function highestChunk(dataChunks: number): number {
  const perArea = CHUNK_BYTES / 16;
  const areaAt = (area: number): number => 1 + area * (perArea + 1);
  let [nextFree, highest] = [areaAt(0) + 1, areaAt(0)];
  for (let done = 0; done < dataChunks; done += 1) {
    highest = Math.max(highest, nextFree);
    nextFree += 1;
    // The next one may not be a metadata chunk.
    if ((nextFree - 1) % (perArea + 1) === 0) nextFree += 1;
    if ((done + 1) % perArea === 0) highest = Math.max(highest, areaAt((done + 1) / perArea));
  }
  return highest;
}

t.test('some sizes', async (t) => {
  t.equal(cowBytes(8), (1 + 1 + 1) * 4096, 'header, metadata, data');
  t.equal(cowBytes(256 * 8), (1 + 256 + 2) * 4096, 'a full area needs the next one');
  t.equal(cowBytes(255 * 8), (1 + 255 + 1) * 4096);
  t.equal(cowBytes(1), cowBytes(8), 'a part of a chunk is a chunk');
  const twentyGib = 20_480 * 2048;
  t.ok(cowBytes(twentyGib) / (twentyGib * 512) < 1.0041, 'metadata takes 0.4 %');
});

t.test('property: every chunk that the kernel touches is in the file, and not one is too many', async () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 5000 }), fc.integer({ min: 0, max: 7 }), (chunks, less) => {
      const sectors = chunks * CHUNK_SECTORS - less;
      return cowBytes(sectors) === (highestChunk(chunks) + 1) * CHUNK_BYTES;
    }),
    { seed },
  );
});
