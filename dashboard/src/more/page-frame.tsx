import '../styles/more.css'

import type { ReactNode } from 'react'

import { useTitle } from '../inbox/use-inbox'
import { AppBar } from '../ui/app-bar'
import { PageNav } from './page-nav'

interface PageFrameProps {
  title: string
  /** Buttons in the bar. */
  actions?: ReactNode
  /** Why the page has nothing, or not the newest, to show. */
  error?: string | undefined
  children: ReactNode
}

/** What the pages beside the list and the runs have in common. */
export function PageFrame({ title, actions, error, children }: PageFrameProps) {
  useTitle(title)
  return (
    <div className="sessions-page more-page">
      <AppBar>
        <h1 className="page-title">{title}</h1>
        <span className="grow" />
        {actions}
      </AppBar>
      <main id="content" tabIndex={-1}>
        <PageNav />
        {error !== undefined && (
          <p className="error-line" role="alert">
            {error}
          </p>
        )}
        {children}
      </main>
    </div>
  )
}
