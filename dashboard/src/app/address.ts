import type { SessionStatus } from '@relive/types'

import { sessionStatuses } from '../status/status'
import { formatMore, isMorePage, type MorePlace, parseMore } from './more-address'
import { joinTags, splitTags } from './tags'

/** The columns of the list beside the name, in their order. */
export const listColumns = [
  'status',
  'workflow',
  'group',
  'progress',
  'created',
  'started',
  'updated',
  'duration',
  'tokens',
  'cost',
] as const
export type ListColumn = (typeof listColumns)[number]

/** What rows can be sorted by. Without one they are in the server's order, the newest first. */
export const sortColumns = ['name', ...listColumns] as const
export type SortColumn = (typeof sortColumns)[number]
export interface ListSort {
  readonly column: SortColumn
  readonly isDescending: boolean
}

/** The filters of the list of sessions, and how it shows what it finds. */
export interface ListFilters {
  text: string
  statuses: readonly SessionStatus[]
  /** Only sessions in which something waits for somebody; without `statuses`. */
  isWaiting: boolean
  groupId: string
  workflowId: string
  /** The sessions that this one has started. */
  parentId: string
  /** Sessions that have all of these. */
  tags: readonly string[]
  /** A time, or how long ago, such as `24h` or `7d`; empty for any time. */
  startedAfter: string
  startedBefore: string
  /** The period of their end, which has its beginning and not its end; empty for any. */
  endedAfter: string
  endedBefore: string
  /** Empty: families are folded unless the list is narrowed. */
  families: '' | 'folded' | 'flat'
  sort: ListSort | undefined
  /** `undefined`: those that this browser keeps. */
  columns: readonly ListColumn[] | undefined
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
  /** Only the panel, over the whole page. */
  isReading?: true | undefined
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
  isWaiting: false,
  groupId: '',
  workflowId: '',
  parentId: '',
  tags: [],
  startedAfter: '',
  startedBefore: '',
  endedAfter: '',
  endedBefore: '',
  families: '',
  sort: undefined,
  columns: undefined,
}

export function isNarrowed(filters: ListFilters): boolean {
  const { text, statuses, isWaiting, groupId, workflowId, parentId, tags } = filters
  const { startedAfter, startedBefore, endedAfter, endedBefore } = filters
  const texts = [text, groupId, workflowId, parentId, startedAfter, startedBefore, endedAfter, endedBefore]
  return isWaiting || statuses.length > 0 || tags.length > 0 || texts.some((value) => value !== '')
}

/** Whether children are under their parents. A narrowed list has every run that matches, whoever started it. */
export function isFolded(filters: ListFilters): boolean {
  return filters.families === '' ? !isNarrowed(filters) : filters.families === 'folded'
}

export const plainView: SessionView = {
  panel: undefined,
  nodeId: undefined,
  revision: undefined,
  compareWith: undefined,
}

/** How long ago: minutes, hours or days. */
export const agoPattern = /^([1-9]\d{0,3})([mhd])$/

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
  put('waiting', filters.isWaiting ? 'true' : '')
  put('group', filters.groupId)
  put('workflow', filters.workflowId)
  put('parent', filters.parentId)
  put('tag', joinTags(filters.tags))
  put('startedAfter', filters.startedAfter)
  put('startedBefore', filters.startedBefore)
  put('endedAfter', filters.endedAfter)
  put('endedBefore', filters.endedBefore)
  put('families', filters.families)
  put('sort', filters.sort && `${filters.sort.isDescending ? '-' : ''}${filters.sort.column}`)
  put('columns', filters.columns && (filters.columns.join(',') || 'none'))
  if (place.page === 'session') {
    const { view } = place
    put('panel', view.panel)
    put('node', view.nodeId)
    put('revision', view.revision)
    put('compare', view.compareWith)
    put('reading', view.isReading && 'true')
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
    isWaiting: query.get('waiting') === 'true',
    tags: splitTags(query.get('tag') ?? ''),
    startedAfter: parseTime(query.get('startedAfter')),
    startedBefore: parseEnd(query.get('startedBefore')),
    endedAfter: parseEnd(query.get('endedAfter')),
    endedBefore: parseEnd(query.get('endedBefore')),
    families: familyModes.find((mode) => mode === query.get('families')) ?? '',
    sort: parseSort(query.get('sort')),
    columns: parseColumns(query.get('columns')),
  }
}

const familyModes = ['folded', 'flat'] as const

function parseTime(text: string | null): string {
  if (text === null) return ''
  return agoPattern.test(text) || !Number.isNaN(Date.parse(text)) ? text : ''
}

function parseEnd(text: string | null): string {
  return text === null || Number.isNaN(Date.parse(text)) ? '' : text
}

function parseSort(text: string | null): ListSort | undefined {
  const isDescending = text?.startsWith('-') === true
  const column = sortColumns.find((name) => name === (isDescending ? text.slice(1) : text))
  return column && { column, isDescending }
}

function parseColumns(text: string | null): readonly ListColumn[] | undefined {
  if (text === null) return undefined
  const names = text.split(',')
  return listColumns.filter((column) => names.includes(column))
}

function parseView(query: URLSearchParams): SessionView {
  return {
    panel: panels.find((name) => name === query.get('panel')),
    nodeId: query.get('node') ?? undefined,
    revision: parseRevision(query.get('revision')),
    compareWith: parseRevision(query.get('compare')),
    isReading: query.get('reading') === 'true' || undefined,
  }
}

function parseRevision(text: string | null): number | undefined {
  const value = Number(text ?? '')
  return Number.isSafeInteger(value) && value >= 1 ? value : undefined
}
