import type { GraphDefinition } from '@relive/types'

export const graph: GraphDefinition

export interface CouncilOptions {
  pace?: number
  until?: 'writing' | 'review' | 'end'
  rounds?: number
  reviews?: 'wait' | 'approve'
}

export function runCouncil(server: string, options?: CouncilOptions): Promise<{ sessionId: string; close: () => void }>
