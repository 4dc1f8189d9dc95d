import type { Group, GroupPage, Workflow, WorkflowPage } from '@relive/types'

import { may } from '../access/may'
import { access } from '../access/me'
import { get, query } from '../api/http'
import { FrameStore } from '../store/frame-store'

export interface Catalog {
  readonly groups: readonly Group[]
  readonly workflows: readonly Workflow[]
  readonly isLoaded: boolean
}

/** Pages of each that are read: more names than a list can usefully offer. */
const pagesAtMost = 5

export const catalog = new FrameStore<Catalog>({ groups: [], workflows: [], isLoaded: false })

/** Reads groups and workflows again. If that fails, the old ones stay. */
export async function loadCatalog(): Promise<void> {
  if (!may(access.latest.me, 'readCatalog')) return
  try {
    const [groups, workflows] = await Promise.all([
      readAll<GroupPage, Group>('/groups', (page) => page.groups),
      readAll<WorkflowPage, Workflow>('/workflows', (page) => page.workflows),
    ])
    catalog.update({ groups, workflows, isLoaded: true })
  } catch {
    // The connection state shows the reason.
    catalog.update({ isLoaded: true })
  }
}

async function readAll<Page extends { nextCursor?: string }, Entry>(
  path: string,
  entries: (page: Page) => readonly Entry[],
): Promise<readonly Entry[]> {
  const all: Entry[] = []
  let cursor: string | undefined
  for (let page = 0; page < pagesAtMost; page += 1) {
    const answer = await get<Page>(`${path}${query({ limit: 200, cursor })}`)
    all.push(...entries(answer))
    cursor = answer.nextCursor
    if (cursor === undefined) break
  }
  return all
}
