// Writes every generated file of the repository (`npm run generate`). Does nothing when it is imported.
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { eventsMarkdown, metricsMarkdown, repliesMarkdown } from './catalogues.ts'
import { referenceMarkdown, sampleYaml, schemaJson } from './document.ts'

/** Path in the repository and how its text is made. */
export const GENERATED_FILES: Readonly<Record<string, () => string>> = {
  'config/default.yaml': sampleYaml,
  'config/schema.json': schemaJson,
  'docs/configuration.md': referenceMarkdown,
  'docs/replies.md': repliesMarkdown,
  'docs/events.md': eventsMarkdown,
  'docs/metrics.md': metricsMarkdown,
}

/** Writes all files below `root`. */
export function writeGenerated(root: string): void {
  for (const [path, make] of Object.entries(GENERATED_FILES)) {
    const target = join(root, path)
    mkdirSync(dirname(target), { recursive: true })
    writeFileSync(target, make())
  }
}

if (import.meta.main) writeGenerated(join(import.meta.dirname, '../..'))
