import { onDemand, useOnDemand } from '../app/on-demand'
import { shell, useShellKeys } from '../app/shell'
import { useStore } from '../store/use-store'

const paletteCode = onDemand(() => import('../palette/palette'))

/** The palette and the list of keys, over whatever page is there. Their code is loaded when one is first opened. */
export function ShellDialogs() {
  useShellKeys()
  const open = useStore(shell, (state) => state.open)
  return open === undefined ? null : <Opened open={open} />
}

function Opened({ open }: { open: 'palette' | 'shortcuts' }) {
  const code = useOnDemand(paletteCode)
  if (code === undefined) return null
  return open === 'palette' ? <code.Palette /> : <code.ShortcutsDialog />
}
