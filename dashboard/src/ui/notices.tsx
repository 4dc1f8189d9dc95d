import { useText } from '../i18n/text'
import { FrameStore } from '../store/frame-store'
import { useStore } from '../store/use-store'
import { Icon } from './icon'

/** An error notice. It stays until the user closes it, or newer ones replace it. */
export interface Notice {
  readonly id: number
  readonly title: string
  readonly detail: string
}

const noticesAtMost = 4
const notices = new FrameStore<readonly Notice[]>([])
let lastId = 0

export function showNotice(title: string, detail: string): void {
  lastId += 1
  const notice = { id: lastId, title, detail }
  notices.update((shown) =>
    [...shown.filter((other) => other.title !== title || other.detail !== detail), notice].slice(-noticesAtMost),
  )
}

export function dismissNotices(): void {
  notices.update(() => [])
}

export function Notices() {
  const t = useText()
  const shown = useStore(notices, (state) => state)
  return (
    <div className="notices" role="alert">
      {shown.map(({ id, title, detail }) => (
        <div key={id} className="notice">
          <div>
            <b>{title}</b>
            <p>{detail}</p>
          </div>
          <button
            type="button"
            className="quiet"
            aria-label={t.close}
            onClick={() => notices.update((all) => all.filter((other) => other.id !== id))}
          >
            <Icon name="close" />
          </button>
        </div>
      ))}
    </div>
  )
}
