// Shows sessions live: the list on the left, one session's nodes on the right, and what may be done
// to it now. Everything comes over two WebSockets; nothing is asked for twice.

const shapes = {
  pending: '◌', running: '▶', completed: '✓', failed: '✕', skipped: '–', suspended: 'Ⅱ', paused: 'Ⅱ', cancelled: '–',
}
const actions = { pending: ['start', 'cancel'], running: ['pause', 'stop', 'cancel'], paused: ['resume', 'stop', 'cancel'] }
const sessions = new Map()
const element = (id) => document.getElementById(id)
let selected = location.hash.slice(1)
let watching

function make(tag, text, className) {
  const made = document.createElement(tag)
  if (text !== undefined) made.textContent = text
  if (className) made.className = className
  return made
}

function shape(status) {
  const made = make('span', shapes[status], 'shape')
  made.style.setProperty('--c', `var(--${status})`)
  made.title = status
  return made
}

// A socket that comes back, later each time, unless the server says that it need not.
function connect(path, receive, opened) {
  let socket, attempt = 0, closed = false
  const open = () => {
    socket = new WebSocket(`${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}${path()}`)
    socket.onopen = () => { attempt = 0; opened?.(true) }
    socket.onmessage = ({ data }) => receive(JSON.parse(data))
    socket.onclose = ({ code }) => {
      if (closed || code >= 4500) return
      opened?.(false)
      setTimeout(open, Math.random() * Math.min(10_000, 250 * 2 ** attempt++))
    }
  }
  open()
  return () => { closed = true; socket.close() }
}

const name = (session) => session.workflowName ?? session.id.slice(-12)
const seconds = (from, to) => from ? `${((new Date(to ?? Date.now()) - new Date(from)) / 1000).toFixed(1)} s` : ''

function drawList() {
  const newest = [...sessions.values()].sort((a, b) => b.createdAt.localeCompare(a.createdAt)).slice(0, 200)
  element('sessions').replaceChildren(...newest.map((session) => {
    const { completed, ...open } = session.nodeCounts
    const all = Object.values(open).reduce((sum, count) => sum + count, completed)
    const button = make('button')
    button.setAttribute('aria-current', String(session.id === selected))
    button.append(shape(session.status), make('b', name(session)), make('span', `${completed}/${all}`, 'dim'),
      make('small', `${session.status} · ${new Date(session.createdAt).toLocaleTimeString()}`))
    button.onclick = () => { location.hash = session.id }
    const item = make('li')
    item.append(button)
    return item
  }))
}

function drawSession(session) {
  element('title').textContent = sessions.has(session.id) ? name(sessions.get(session.id)) : session.id
  element('facts').textContent = [session.status, seconds(session.startedAt, session.completedAt),
    `revision ${session.revision}`, `${session.totalTokens} tokens`, `$${session.totalCostUsd.toFixed(4)}`, session.error]
    .filter(Boolean).join(' · ')
  element('actions').replaceChildren(...(actions[session.status] ?? []).map((action) => {
    const button = make('button', action)
    button.onclick = () => fetch(`/api/v1/sessions/${session.id}/control`, { method: 'POST', body: JSON.stringify({ action }) })
    return button
  }))
  element('nodes').replaceChildren(...Object.values(session.nodes).map((node) => {
    const item = make('li')
    item.style.setProperty('--c', `var(--${node.status})`)
    const head = make('b')
    head.append(shape(node.status), ` ${node.name ?? node.id}`)
    const attempt = node.attempt > 1 ? `attempt ${node.attempt}` : ''
    item.append(head, make('p', [node.status, seconds(node.startedAt, node.completedAt), attempt].filter(Boolean).join(' · ')))
    if (node.status === 'running' && node.progress !== undefined) {
      const bar = make('progress')
      bar.value = node.progress
      item.append(bar)
    }
    if (node.error) item.append(make('p', node.error, 'error'))
    return item
  }))
  element('context').hidden = session.contextData === undefined
  element('context').textContent = JSON.stringify(session.contextData, undefined, 2) ?? ''
}

function watch(id) {
  watching?.()
  selected = id
  drawList()
  let held = 0
  watching = connect(() => `/ws/sessions/${id}?minIntervalMs=50`, (frame) => {
    if (frame.type !== 'snapshot' || frame.revision < held) return
    held = frame.revision
    requestAnimationFrame(() => drawSession(frame.session))
  })
}

connect(() => '/ws/sessions?limit=200', (frame) => {
  if (frame.type === 'sessions') {
    sessions.clear()
    frame.sessions.forEach((session) => sessions.set(session.id, session))
  } else if (frame.type === 'session' && frame.change === 'removed') {
    sessions.delete(frame.session.id)
  } else if (frame.type === 'session') {
    sessions.set(frame.session.id, frame.session)
    if (!selected) watch(frame.session.id)
  }
  if (!selected && frame.sessions?.length) watch(frame.sessions[0].id)
  requestAnimationFrame(drawList)
}, (open) => {
  element('connection').textContent = open ? 'live' : 'connection lost'
  element('connection').classList.toggle('lost', !open)
})

addEventListener('hashchange', () => watch(location.hash.slice(1)))
if (selected) watch(selected)
