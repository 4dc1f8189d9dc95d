import { type KeyboardEvent, useEffect, useId, useMemo, useRef, useState } from 'react'

import { may } from '../access/may'
import { useMe } from '../access/me'
import { noFilters, plainView } from '../app/address'
import { commands } from '../app/commands'
import { useKept } from '../app/kept'
import { navEntries } from '../app/nav'
import { goTo } from '../app/place'
import { prefer, usePreferences } from '../app/preferences'
import { openShell } from '../app/shell'
import type { Text } from '../i18n/en'
import { useText } from '../i18n/text'
import { sessionName } from '../sessions/session-name'
import { savedViews } from '../sessions/views'
import { placeOfView } from '../sessions/views-menu'
import { useStore } from '../store/use-store'
import { type Entry, fitting } from './entries'
import { useFoundSessions } from './use-found-sessions'

export { ShortcutsDialog } from './shortcuts'

/** What is found by the server comes later: below the rest, so that nothing moves under what is about to be chosen. */
const kindsWithText = ['page', 'view', 'action', 'session'] as const
const kindsWithout = ['session', 'page', 'view', 'action'] as const

/** Finds sessions, pages and actions by a text. Opening it changes nothing in the page below. */
export function Palette() {
  const t = useText()
  const id = useId()
  const dialog = useRef<HTMLDialogElement>(null)
  const [text, setText] = useState('')
  const [active, setActive] = useState(0)
  const entries = useEntries(text, t)
  const at = Math.min(active, entries.length - 1)
  useEffect(() => {
    const element = dialog.current
    if (element !== null && !element.open) element.showModal()
    return () => element?.close()
  }, [])
  useEffect(() => {
    document.getElementById(`${id}-${at}`)?.scrollIntoView({ block: 'nearest' })
  }, [id, at])
  const close = () => openShell(undefined)
  const choose = (entry: Entry | undefined) => {
    if (entry === undefined) return
    // Closed first: what it does may open a dialog of its own.
    close()
    entry.run()
  }
  const onKeyDown = (event: KeyboardEvent) => {
    const move = (to: number) => setActive((to + entries.length) % Math.max(1, entries.length))
    if (event.nativeEvent.isComposing) return
    if (event.key === 'ArrowDown') move(at + 1)
    else if (event.key === 'ArrowUp') move(at - 1)
    else if (event.key === 'Enter') choose(entries[at])
    else return
    event.preventDefault()
  }
  return (
    <dialog
      ref={dialog}
      className="dialog palette"
      aria-label={t.paletteTitle}
      onCancel={close}
      onMouseDown={(event) => {
        if (event.target === dialog.current) close()
      }}
    >
      <input
        role="combobox"
        aria-label={t.paletteHint}
        aria-expanded={entries.length > 0}
        aria-controls={id}
        aria-autocomplete="list"
        aria-activedescendant={entries.length > 0 ? `${id}-${at}` : undefined}
        placeholder={t.paletteHint}
        spellCheck={false}
        value={text}
        autoFocus
        onChange={(event) => {
          setText(event.target.value)
          setActive(0)
        }}
        onKeyDown={onKeyDown}
      />
      <div id={id} role="listbox" aria-label={t.paletteTitle} className="palette-list scroll" tabIndex={-1}>
        {(text.trim() === '' ? kindsWithout : kindsWithText).map((kind) => {
          const some = entries.map((entry, index) => ({ entry, index })).filter(({ entry }) => entry.kind === kind)
          return (
            some.length > 0 && (
              <div key={kind} role="group" aria-label={t.paletteKind[kind]}>
                <p className="palette-kind" aria-hidden="true">
                  {t.paletteKind[kind]}
                </p>
                {some.map(({ entry, index }) => (
                  <div
                    key={entry.id}
                    id={`${id}-${index}`}
                    role="option"
                    aria-selected={index === at}
                    onMouseMove={() => setActive(index)}
                    onMouseDown={(event) => {
                      // The focus stays where it is written.
                      event.preventDefault()
                      choose(entry)
                    }}
                  >
                    <span className="palette-label">{entry.label}</span>
                    {entry.hint !== undefined && <span className="dim">{entry.hint}</span>}
                  </div>
                ))}
              </div>
            )
          )
        })}
      </div>
      <p className="visually-hidden" role="status">
        {t.foundEntries(entries.length)}
      </p>
      {entries.length === 0 && <p className="empty">{t.nothingFound}</p>}
    </dialog>
  )
}

/** In the order of their kinds, so that the arrow keys go down the list as it is seen. */
function useEntries(text: string, t: Text): readonly Entry[] {
  const me = useMe()
  const offered = useStore(commands, ({ all }) => all)
  const views = useKept(savedViews)
  const { theme, language } = usePreferences()
  const { sessions, isCurrent } = useFoundSessions(text)
  return useMemo(() => {
    const all: readonly Entry[] = sessions.map((session) => ({
      id: session.id,
      kind: 'session',
      label: sessionName(session) ?? t.unnamed(session.id),
      hint: `${t.status[session.status]} · ${session.id.slice(-6)}`,
      run: () => goTo({ page: 'session', sessionId: session.id, filters: noFilters, view: plainView }),
    }))
    const pages: readonly Entry[] = navEntries
      .filter(({ offer }) => offer === undefined || may(me, offer))
      .map(({ place, label }) => ({ id: place.page, kind: 'page', label: label(t), run: () => goTo(place) }))
    const saved: readonly Entry[] = views.map((view) => ({
      id: `view ${view.name}`,
      kind: 'view',
      label: view.name,
      run: () => goTo(placeOfView(view)),
    }))
    const themes = (['system', 'light', 'dark'] as const).filter((each) => each !== theme)
    const always = [
      ...themes.map((each) => ({ id: `theme ${each}`, label: t.theme[each], run: () => prefer({ theme: each }) })),
      {
        id: 'language',
        label: t.languageLabel,
        run: () => prefer({ language: language === 'en' ? 'zh' : 'en' }),
      },
      { id: 'shortcuts', label: t.shortcuts, run: () => openShell('shortcuts') },
    ]
    const actions: readonly Entry[] = [...offered, ...always].map((command) => ({
      id: `action ${command.id}`,
      kind: 'action',
      label: command.label,
      run: command.run,
    }))
    // The server looks at more than names. What it found for an earlier text stays only where it fits this one.
    const found = isCurrent ? all : fitting(all, text)
    const others = [...fitting(pages, text), ...fitting(saved, text), ...fitting(actions, text)]
    return text.trim() === '' ? [...found, ...others] : [...others, ...found]
  }, [sessions, isCurrent, offered, views, me, theme, language, t, text])
}
