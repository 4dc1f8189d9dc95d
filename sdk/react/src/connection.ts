import type { ConnectionState } from '@relive/types'
import { useCallback, useSyncExternalStore } from 'react'
import { useReliveClient } from './provider.js'

export type ConnectionInfo = ConnectionState

/** How the socket of all sessions stands, for a badge that says so. */
export function useConnection(): ConnectionInfo {
  const client = useReliveClient()
  const subscribe = useCallback((listener: () => void) => client.onConnectionChange(listener), [client])
  const getState = useCallback(() => client.connection, [client])
  return useSyncExternalStore(subscribe, getState, getState)
}
