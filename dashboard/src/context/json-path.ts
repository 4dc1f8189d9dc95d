/** A step into a JSON value: a member's name or an index. */
export type Step = string | number
export type Path = readonly Step[]

const plainName = /^[A-Za-z_$][\w$]*$/

/** As it is written in most languages: `steps[0].name`, `["a b"]`. */
export function pathText(path: Path): string {
  return path
    .map((step, index) => {
      if (typeof step === 'number') return `[${step}]`
      if (!plainName.test(step)) return `[${JSON.stringify(step)}]`
      return index === 0 ? step : `.${step}`
    })
    .join('')
}

/** Values that a search looks through, and places it finds, at most. */
const [valuesAtMost, foundAtMost] = [300_000, 200]

export interface Found {
  readonly paths: readonly Path[]
  /** There may be more. */
  readonly isCut: boolean
}

/** Where a text is in the names and the values of a JSON value, ignoring case; in breadth, the nearest first. */
export function findIn(value: unknown, text: string): Found {
  const wanted = text.trim().toLowerCase()
  const paths: Path[] = []
  if (wanted === '') return { paths, isCut: false }
  const queue: { value: unknown; path: Path }[] = [{ value, path: [] }]
  for (let at = 0; at < queue.length; at += 1) {
    const next = queue[at]
    if (next === undefined || at >= valuesAtMost || paths.length >= foundAtMost) return { paths, isCut: true }
    const name = next.path.at(-1)
    const isHere =
      (typeof name === 'string' && name.toLowerCase().includes(wanted)) ||
      (!isBranch(next.value) && String(next.value).toLowerCase().includes(wanted))
    if (isHere) paths.push(next.path)
    if (!isBranch(next.value)) continue
    for (const [step, member] of membersOf(next.value)) queue.push({ value: member, path: [...next.path, step] })
  }
  return { paths, isCut: false }
}

export type Branch = Readonly<Record<string, unknown>> | readonly unknown[]

export function isBranch(value: unknown): value is Branch {
  return typeof value === 'object' && value !== null
}

export function membersOf(value: Branch): readonly (readonly [Step, unknown])[] {
  return Array.isArray(value) ? value.map((member: unknown, index) => [index, member] as const) : Object.entries(value)
}

/** The paths that have to be open for `paths` to be seen. */
export function openFor(paths: readonly Path[]): ReadonlySet<string> {
  return new Set(paths.flatMap((path) => path.map((_, length) => pathText(path.slice(0, length)))))
}
