import { useReactFlow } from '@xyflow/react'

import { useText } from '../i18n/text'
import { Icon } from '../ui/icon'
import { FindNode } from './find-node'

interface GraphToolsProps {
  canFold: boolean
  canUnfold: boolean
  fold(): void
  unfold(): void
  turn(): void
  showAll(): void
}

export function GraphTools({ canFold, canUnfold, fold, unfold, turn, showAll }: GraphToolsProps) {
  const t = useText()
  const { zoomIn, zoomOut } = useReactFlow()
  return (
    <>
      <FindNode />
      <div className="graph-tools" role="toolbar" aria-label={t.graph}>
        <ToolButton label="−" title={t.zoomOut} onClick={() => void zoomOut()} />
        <ToolButton label="+" title={t.zoomIn} onClick={() => void zoomIn()} />
        <button type="button" title={t.fitView} aria-label={t.fitView} onClick={showAll}>
          <Icon name="fit" />
        </button>
        <button type="button" title={t.turn} aria-label={t.turn} onClick={turn}>
          <Icon name="turn" />
        </button>
        {(canFold || canUnfold) && (
          <button type="button" className="worded" onClick={canUnfold ? unfold : fold}>
            {canUnfold ? t.unfoldAll : t.foldAll}
          </button>
        )}
        {canFold && canUnfold && (
          <button type="button" className="worded" onClick={fold}>
            {t.foldAll}
          </button>
        )}
      </div>
    </>
  )
}

function ToolButton({ label, title, onClick }: { label: string; title: string; onClick: () => void }) {
  return (
    <button type="button" title={title} aria-label={title} onClick={onClick}>
      {label}
    </button>
  )
}
