import type { SessionStatus } from '@relive/types'

import { sessionStatuses } from '../status/status'
import { formatMore, isMorePage, type MorePlace, parseMore } from './more-address'
import { joinTags, splitTags } from './tags'

/** The filters of the list of sessions. */
export interface ListFilters {
  text: string
  statuses: readonly SessionStatus[]
  groupId: string
  workflowId: string
  /** The sessions that this one has started. */
  parentId: string
  /** Sessions that have all of these. */
  tags: readonly string[]
  /** The period of their end, which has its beginning and not its end; empty for any. */
  endedAfter: string
  endedBefore: string
}

export const panels = ['run', 'messages', 'node', 'logs', 'context', 'journal', 'compare'] as const
export type Panel = (typeof panels)[number]

/** What the page of a session shows. Without a revision it shows the newest state, live. */
export interface SessionView {
  /** `undefined`: messages if there are any, otherwise the journal. */
  panel: Panel | undefined
  nodeId: string | undefined
  revision: number | undefined
  /** The revision that the shown one is compared with. */
  compareWith: number | undefined
}

export type Place =
  | { readonly page: 'sessions'; readonly filters: ListFilters }
  | { readonly page: 'session'; readonly sessionId: string; readonly filters: ListFilters; readonly view: SessionView }
  | { readonly page: 'inbox' }
  | { readonly page: 'keys' }
  | { readonly page: 'audit' }
  | MorePlace
  | { readonly page: 'unknown' }

export const noFilters: ListFilters = {
  text: '',
  statuses: [],
  groupId: '',
  workflowId: '',
  parentId: '',
  tags: [],
  endedAfter: '',
  endedBefore: '',
}

export function isNarrowed(filters: ListFilters): boolean {
  const { text, statuses, groupId, workflowId, parentId, tags, endedAfter, endedBefore } = filters
  const texts = [text, groupId, workflowId, parentId, endedAfter, endedBefore]
  return statuses.length > 0 || tags.length > 0 || texts.some((value) => value !== '')
}

export const plainView: SessionView = {
  panel: undefined,
  nodeId: undefined,
  revision: undefined,
  compareWith: undefined,
}

const sessionPath = /^\/sessions\/([0-9a-fA-F-]{36})\/?$/

/** What an address shows. Invalid parts of an address are ignored. */
export function parseAddress(pathname: string, search: string): Place {
  const query = new URLSearchParams(search)
  const filters = parseFilters(query)
  // In the query, because the server has no route for these.
  const page = pathname === '/' ? query.get('page') : null
  if (page === 'inbox' || page === 'keys' || page === 'audit') return { page }
  if (isMorePage(page)) return parseMore(page, query)
  if (pathname === '/' || pathname === '/sessions' || pathname === '/sessions/') return { page: 'sessions', filters }
  const sessionId = sessionPath.exec(pathname)?.[1]
  if (sessionId === undefined) return { page: 'unknown' }
  return { page: 'session', sessionId: sessionId.toLowerCase(), filters, view: parseView(query) }
}

export function formatAddress(place: Place): string {
  if (place.page === 'unknown') return '/'
  if (place.page === 'inbox' || place.page === 'keys' || place.page === 'audit') return `/?page=${place.page}`
  if ('options' in place) return formatMore(place)
  const query = new URLSearchParams()
  const put = (name: string, value: string | number | undefined) => {
    if (value !== undefined && value !== '') query.set(name, String(value))
  }
  const { filters } = place
  put('text', filters.text)
  put('status', filters.statuses.join(','))
  put('group', filters.groupId)
  put('workflow', filters.workflowId)
  put('parent', filters.parentId)
  put('tag', joinTags(filters.tags))
  put('endedAfter', filters.endedAfter)
  put('endedBefore', filters.endedBefore)
  if (place.page === 'session') {
    const { view } = place
    put('panel', view.panel)
    put('node', view.nodeId)
    put('revision', view.revision)
    put('compare', view.compareWith)
  }
  // Commas and colons are easier to read than `%2C` and `%3A`, and equivalent in a query.
  const search = query.toString().replaceAll('%2C', ',').replaceAll('%3A', ':')
  const path = place.page === 'session' ? `/sessions/${place.sessionId}` : '/'
  return search === '' ? path : `${path}?${search}`
}

function parseFilters(query: URLSearchParams): ListFilters {
  const wanted = (query.get('status') ?? '').split(',')
  return {
    text: query.get('text') ?? '',
    // In a fixed order, so that the same filters give the same address.
    statuses: sessionStatuses.filter((status) => wanted.includes(status)),
    groupId: query.get('group') ?? '',
    workflowId: query.get('workflow') ?? '',
    parentId: query.get('parent') ?? '',
    tags: splitTags(query.get('tag') ?? ''),
    endedAfter: parseEnd(query.get('endedAfter')),
    endedBefore: parseEnd(query.get('endedBefore')),
  }
}

function parseEnd(text: string | null): string {
  return text === null || Number.isNaN(Date.parse(text)) ? '' : text
}

function parseView(query: URLSearchParams): SessionView {
  return {
    panel: panels.find((name) => name === query.get('panel')),
    nodeId: query.get('node') ?? undefined,
    revision: parseRevision(query.get('revision')),
    compareWith: parseRevision(query.get('compare')),
  }
}

function parseRevision(text: string | null): number | undefined {
  const value = Number(text ?? '')
  return Number.isSafeInteger(value) && value >= 1 ? value : undefined
}
