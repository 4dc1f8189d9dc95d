import type { SessionSummary } from '@relive/types'

/** What a run is called: by itself, or by the graph it runs. */
export function sessionName({ name, workflowName }: SessionSummary): string | undefined {
  return name || workflowName || undefined
}
