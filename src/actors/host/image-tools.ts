import type { BuildProgress, TemplateFormat } from './template-protocol.ts';

/** What came of making an image of a file: what is not in it, and what the file says of programs. */
export interface BuiltImage {
  /** What of the file is not in the image, such as device nodes, for a person. */
  leftOut: readonly string[];
  /** Of a container image. */
  config?: { user?: string; cwd?: string; env?: Record<string, string> };
}

/** What works on image files. */
export interface ImageTools {
  /**
   * Makes an image of an uploaded file, durably. Nothing is left when that fails.
   *
   * @throws `TEMPLATE_INVALID`, `DISK_FULL`, `DEPENDENCY_MISSING`, `DISK_FAILED`; the signal's reason when it aborts
   */
  build(options: {
    sourcePath: string;
    format: TemplateFormat;
    imagePath: string;
    /** Folder to unpack into; it is not there yet. */
    workDir: string;
    signal: AbortSignal;
    progress(line: BuildProgress): void;
  }): Promise<BuiltImage>;

  /** Makes the file system and the file as small as the content allows. Throws `DISK_FAILED`, `DISK_FULL`, `DEPENDENCY_MISSING`. */
  shrink(imagePath: string, signal: AbortSignal): Promise<unknown>;

  /** Makes sure that image and file system have at least that many MiB. Throws as `shrink` does. */
  grow(imagePath: string, sizeMb: number, signal: AbortSignal): Promise<unknown>;
}
