import { ReliveProvider } from '@relive/react'
import type { ReactNode } from 'react'

export function Relive({ children }: { children: ReactNode }) {
  return (
    <ReliveProvider url="https://relive.example.org" getToken={async () => (await fetch('/relive-token')).text()}>
      {children}
    </ReliveProvider>
  )
}
