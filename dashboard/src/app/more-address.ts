/** The pages beside the list and the runs, which are loaded on demand. They are in the query of an address: `/?page=overview`. */
export const morePages = [
  'overview',
  'workflows',
  'agents',
  'groups',
  'memories',
  'schedules',
  'webhooks',
  'alerts',
  'retention',
  'compare',
] as const
export type MorePage = (typeof morePages)[number]

/** What such a page shows, by the names in its address. */
export type PageOptions = Readonly<Record<string, string>>

export interface MorePlace {
  readonly page: MorePage
  readonly options: PageOptions
}

/** The options of each page; others in an address are ignored. */
const known: Record<MorePage, readonly string[]> = {
  overview: ['period', 'by'],
  workflows: ['id'],
  agents: [],
  groups: [],
  memories: ['text', 'group', 'agent', 'session', 'score'],
  schedules: [],
  webhooks: ['id', 'status'],
  alerts: ['id'],
  retention: [],
  compare: ['a', 'b'],
}

export function isMorePage(name: string | null): name is MorePage {
  return morePages.some((page) => page === name)
}

export function parseMore(page: MorePage, query: URLSearchParams): MorePlace {
  const given = known[page].flatMap((name) => {
    const value = query.get(name)
    return value === null || value === '' ? [] : [[name, value] as const]
  })
  return { page, options: Object.fromEntries(given) }
}

export function formatMore({ page, options }: MorePlace): string {
  const query = new URLSearchParams({ page })
  for (const name of known[page]) {
    const value = options[name]
    if (value !== undefined && value !== '') query.set(name, value)
  }
  return `/?${query.toString()}`
}
