/**
 * What the built-in engine knows of nodes, as docs/nodes.md describes it. The server has no answer that says so; a test
 * compares this with its sources.
 */

/** Of every node. */
const every = ['onError', 'retries', 'backoffSeconds', 'timeoutSeconds', 'remember', 'assign']
/** For editors and descriptions; so is every name that begins with `x-`. */
const notes = ['description', 'label', 'edgeLabels', 'notes', 'position', 'color', 'icon', 'ui', 'metadata']
const model = ['model', 'temperature', 'maxTokens', 'modelParameters', 'tools', 'toolChoice', 'responseFormat']
const shaping = ['output']

/** The types of nodes, each with its properties besides those of every node. */
export const nodeTypes: Readonly<Record<string, readonly string[]>> = {
  start: shaping,
  end: shaping,
  parallel: shaping,
  sequence: shaping,
  agent: ['prompt', 'system', 'json', 'agentUuid', 'agentId', 'personaPrompt', ...model],
  llm: ['prompt', 'system', 'json', ...model],
  tool: ['url', 'method', 'headers', 'body', 'maxBytes', 'acceptErrors'],
  vote: ['mode', 'threshold', 'required'],
  switch: ['cases', 'default'],
  if: ['condition'],
  loop: ['maxRounds', 'exitOnScore', 'score'],
  fact_check: ['claim', 'sources', 'threshold', 'required', ...model],
  human_review: ['prompt', 'timeoutMinutes', 'allowSkip', 'updatesProposal'],
  memory_retrieval: ['query', 'limit', 'minScore', 'agentId'],
  context_synth: ['mode', 'maxRecentRounds', ...model],
  delay: ['seconds'],
}

/** Properties without which a node of a type cannot run. */
const needed: Readonly<Record<string, readonly string[]>> = {
  delay: ['seconds'],
  if: ['condition'],
  switch: ['cases'],
  tool: ['url'],
}

const numbers = new Set([
  'seconds',
  'timeoutSeconds',
  'retries',
  'backoffSeconds',
  'maxRounds',
  'exitOnScore',
  'timeoutMinutes',
  'temperature',
  'maxTokens',
  'threshold',
  'limit',
  'minScore',
  'maxBytes',
  'maxRecentRounds',
])
const flags = new Set(['allowSkip', 'updatesProposal', 'json', 'required', 'acceptErrors'])

export type PropertyProblem =
  | { readonly kind: 'unknownProperty'; readonly name: string; readonly nearest: string | undefined }
  | { readonly kind: 'needed'; readonly name: string }
  | { readonly kind: 'number' | 'flag'; readonly name: string }

/** What is wrong with the properties of a node; `null` counts as absent. */
export function problemsOf(type: string, properties: Readonly<Record<string, unknown>>): readonly PropertyProblem[] {
  const own = nodeTypes[type]
  if (own === undefined) return []
  const known = [...every, ...notes, ...own]
  const problems: PropertyProblem[] = []
  const written = new Map<string, unknown>()
  for (const [name, value] of Object.entries(properties)) {
    const meant = known.find((each) => each === name || snakeCase(each) === name)
    if (meant === undefined && !name.startsWith('x-'))
      problems.push({ kind: 'unknownProperty', name, nearest: nearest(name, known) })
    if (meant === undefined || value === null) continue
    written.set(meant, value)
    if (numbers.has(meant) && typeof value !== 'number') problems.push({ kind: 'number', name })
    if (flags.has(meant) && typeof value !== 'boolean') problems.push({ kind: 'flag', name })
  }
  for (const name of needed[type] ?? []) if (!written.has(name)) problems.push({ kind: 'needed', name })
  return problems
}

export function snakeCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
}

const likenessAtLeast = 0.75
const namesUpTo = 60

/** The most similar known name, if there is one. */
export function nearest(name: string, known: readonly string[]): string | undefined {
  const plain = (each: string) => snakeCase(each).replace(/[- ]/g, '_').slice(0, namesUpTo)
  const likeness = (each: string) => {
    const [a, b] = [plain(name), plain(each)]
    return 1 - distance(a, b) / Math.max(a.length, b.length, 1)
  }
  const [best] = known.map((each) => [each, likeness(each)] as const).sort((a, b) => b[1] - a[1])
  return best !== undefined && best[1] >= likenessAtLeast ? best[0] : undefined
}

/** Letters to change, leave out, add or swap with the next. */
function distance(a: string, b: string): number {
  let [before, last] = [[] as number[], Array.from({ length: b.length + 1 }, (_, at) => at)]
  for (let i = 1; i <= a.length; i += 1) {
    const row = [i]
    for (let j = 1; j <= b.length; j += 1) {
      const isSame = a[i - 1] === b[j - 1]
      let least = Math.min((last[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, (last[j - 1] ?? 0) + (isSame ? 0 : 1))
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        least = Math.min(least, (before[j - 2] ?? 0) + 1)
      row.push(least)
    }
    ;[before, last] = [last, row]
  }
  return last[b.length] ?? 0
}
