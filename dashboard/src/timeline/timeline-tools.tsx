import { useKept } from '../app/kept'
import { useText } from '../i18n/text'
import { Icon } from '../ui/icon'
import { Popover } from '../ui/popover'
import type { AxisOptions } from './axis'
import { axisOptions } from './timeline-view'
import { useTimelineView, useView } from './use-axis'
import type { Zoom } from './use-zoom'

interface TimelineToolsProps {
  zoom: Zoom
  /** The nodes that have steps. */
  parents: readonly string[]
}

/** The buttons beside the ruler. */
export function TimelineTools({ zoom, parents }: TimelineToolsProps) {
  const t = useText()
  return (
    <div className="gantt-tools" role="group" aria-label={t.timelineTools}>
      <button
        type="button"
        className="quiet"
        aria-label={t.timelineOut}
        title={`${t.timelineOut} (−)`}
        onClick={zoom.out}
      >
        <Icon name="minus" />
      </button>
      <button type="button" className="quiet" aria-label={t.timelineIn} title={`${t.timelineIn} (+)`} onClick={zoom.in}>
        <Icon name="plus" />
      </button>
      <button
        type="button"
        className="quiet"
        aria-label={t.timelineWhole}
        title={`${t.timelineWhole} (0)`}
        onClick={zoom.whole}
      >
        <Icon name="width" />
      </button>
      <Popover className="quiet" label={t.timelineOptions} content={() => <Options parents={parents} />}>
        <Icon name="sliders" />
      </Popover>
    </div>
  )
}

function Options({ parents }: Pick<TimelineToolsProps, 'parents'>) {
  const t = useText()
  const view = useTimelineView()
  const folded = useView(({ folded }) => folded)
  const options = useKept(axisOptions)
  const set = (change: Partial<AxisOptions>) => axisOptions.set({ ...options, ...change })
  return (
    <fieldset className="popover-body checks">
      <legend>{t.axis}</legend>
      {(['time', 'event'] as const).map((by) => (
        <label key={by}>
          <input type="radio" name="timeline-axis" checked={options.by === by} onChange={() => set({ by })} />
          {t.axisBy[by]}
        </label>
      ))}
      <label title={t.shortensIdleHint}>
        <input
          type="checkbox"
          checked={options.shortensIdle}
          disabled={options.by === 'event'}
          onChange={(event) => set({ shortensIdle: event.target.checked })}
        />
        {t.shortensIdle}
      </label>
      {parents.length > 0 && (
        <span className="buttons">
          <button type="button" onClick={() => view.fold(new Set(parents))}>
            {t.foldSteps}
          </button>
          <button type="button" disabled={folded.size === 0} onClick={() => view.fold(new Set())}>
            {t.unfoldSteps}
          </button>
        </span>
      )}
    </fieldset>
  )
}
