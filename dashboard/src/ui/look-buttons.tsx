import { prefer, type Theme, usePreferences } from '../app/preferences'
import { useText } from '../i18n/text'
import { Icon } from './icon'

const nextTheme: Record<Theme, Theme> = { system: 'light', light: 'dark', dark: 'system' }
const themeIcon = { system: 'system', light: 'sun', dark: 'moon' } as const

/** The language and the theme. */
export function LookButtons() {
  const t = useText()
  const { theme, language } = usePreferences()
  return (
    <>
      <button
        type="button"
        className="quiet chosen-look"
        aria-label={t.languageLabel}
        lang={language === 'en' ? 'zh-CN' : 'en'}
        onClick={() => prefer({ language: language === 'en' ? 'zh' : 'en' })}
      >
        {t.language}
      </button>
      <button
        type="button"
        className="quiet chosen-look"
        aria-label={t.theme[theme]}
        title={t.theme[theme]}
        onClick={() => prefer({ theme: nextTheme[theme] })}
      >
        <Icon name={themeIcon[theme]} />
      </button>
    </>
  )
}
