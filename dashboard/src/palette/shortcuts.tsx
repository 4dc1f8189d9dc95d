import { openShell } from '../app/shell'
import type { Text } from '../i18n/en'
import { useText } from '../i18n/text'
import { Dialog } from '../ui/dialog'

type Line = readonly [keys: readonly string[], what: keyof Text['shortcut']]

const sections: readonly (readonly [keyof Text['shortcutSection'], readonly Line[]])[] = [
  [
    'everywhere',
    [
      [['Ctrl K', '⌘ K'], 'palette'],
      [['/'], 'search'],
      [['?'], 'help'],
      [['Esc'], 'close'],
    ],
  ],
  [
    'list',
    [
      [['↑', '↓'], 'rows'],
      [['Enter'], 'open'],
      [['→', '←'], 'family'],
      [['Space'], 'select'],
      [['Shift ↑', 'Shift ↓'], 'extend'],
      [['Shift Space'], 'range'],
      [['Ctrl A', '⌘ A'], 'all'],
      [['Esc'], 'none'],
    ],
  ],
  [
    'run',
    [
      [['Space'], 'play'],
      [['←', '→'], 'step'],
      [['Home', 'End'], 'ends'],
      [['R'], 'reading'],
      [['+', '−', '0'], 'zoom'],
      [['Shift ←', 'Shift →'], 'pan'],
      [['←', '→', '↑', '↓'], 'bars'],
      [['←', '→', '↑', '↓'], 'resize'],
    ],
  ],
]

/** Every key that the pages know. */
export function ShortcutsDialog() {
  const t = useText()
  return (
    <Dialog title={t.shortcuts} onClose={() => openShell(undefined)}>
      <div className="shortcuts">
        {sections.map(([section, lines]) => (
          <section key={section} aria-label={t.shortcutSection[section]}>
            <h3>{t.shortcutSection[section]}</h3>
            <dl>
              {lines.map(([keys, what]) => (
                <div key={what}>
                  <dt>
                    {keys.map((key) => (
                      <kbd key={key}>{key}</kbd>
                    ))}
                  </dt>
                  <dd>{t.shortcut[what]}</dd>
                </div>
              ))}
            </dl>
          </section>
        ))}
      </div>
    </Dialog>
  )
}
