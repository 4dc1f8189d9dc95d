import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

import type { Retention, Schedule, Webhook } from '@relive/types'

import { violations } from './axe'
import { test as base, expect } from './fixtures'
import { Server } from './server'

/** A server of its own, whose webhooks may reach this machine. */
const test = base.extend<object, { server: Server }>({
  server: [
    async ({}, use) => {
      const server = await Server.start({ RELIVE_WEBHOOK_ALLOW_PRIVATE: 'true' })
      await use(server)
      await server.close()
    },
    { scope: 'worker', timeout: 60_000 },
  ],
})

/** The browser itself remarks on a refusal. */
test.use({ tolerated: /status of 400/ })

const graph = {
  name: 'Tiny',
  startNodeId: 'say',
  nodes: { say: { id: 'say', type: 'sequence', name: 'Say', properties: { output: 'x' } } },
}

test('a webhook is made, shows its secret once, is tested, told of runs, and sent again', async ({ page, server }) => {
  const received: string[] = []
  const signatures: number[] = []
  let status = 204
  const receiver = createServer((request, response) => {
    let body = ''
    request.on('data', (chunk) => {
      body += chunk
    })
    request.on('end', () => {
      received.push((JSON.parse(body) as { type: string }).type)
      signatures.push(String(request.headers['webhook-signature']).split(' ').length)
      response.writeHead(status).end()
    })
  })
  await new Promise<void>((resolve) => receiver.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/hook`

  await page.goto(`${server.address}/?page=webhooks`)
  await page.getByRole('button', { name: 'New webhook' }).click()
  await page.getByLabel('Address').fill(url)
  await page.getByRole('checkbox', { name: 'session.failed' }).uncheck()
  await page.getByRole('button', { name: 'Create' }).click()
  await expect(page.getByLabel('Secret', { exact: true })).toHaveValue(/^whsec_/)
  await page.getByRole('button', { name: 'Done' }).click()
  const [webhook] = (await server.get<{ webhooks: Webhook[] }>('/webhooks')).webhooks
  expect(webhook?.types).toEqual(['session.completed', 'review.requested'])
  const deliveries = page.getByRole('region', { name: 'Deliveries', exact: true })
  const rows = deliveries.getByRole('row')
  await page.getByRole('button', { name: 'Send a test' }).click()
  await expect(rows.filter({ hasText: 'webhook.test' })).toContainText('204')
  expect(received).toEqual(['webhook.test'])
  expect(await violations(page)).toEqual([])

  await page.getByRole('button', { name: `Rotate the secret: ${url}` }).click()
  const rotation = page.getByRole('dialog')
  await expect(rotation.getByLabel('The secret before it signs too')).toHaveValue('day')
  expect(await violations(page)).toEqual([])
  await rotation.getByRole('button', { name: 'Rotate', exact: true }).click()
  await expect(rotation.getByLabel('Secret', { exact: true })).toHaveValue(/^whsec_/)
  await rotation.getByRole('button', { name: 'Done' }).click()
  await expect(page.getByRole('row').filter({ hasText: 'the secret before signs until' })).toBeVisible()
  await page.getByRole('button', { name: 'Send a test' }).click()
  await expect.poll(() => signatures).toEqual([1, 2])
  await page.getByRole('button', { name: `Rotate the secret: ${url}` }).click()
  await rotation.getByLabel('The secret before it signs too').selectOption('none')
  await rotation.getByRole('button', { name: 'Rotate', exact: true }).click()
  await rotation.getByRole('button', { name: 'Done' }).click()
  await expect(page.getByText('the secret before signs until')).toHaveCount(0)

  status = 500
  const { id } = await server.post<{ id: string }>('/sessions', { name: 'told of' })
  await server.post(`/sessions/${id}/commands`, [{ type: 'start' }, { type: 'complete' }])
  const completed = rows.filter({ hasText: 'session.completed' })
  await expect(completed).toContainText('500')
  await expect(completed).toContainText('pending')
  status = 204
  await completed.getByRole('button', { name: 'Send again: session.completed' }).click()
  await expect(completed).toContainText('delivered')
  await deliveries.getByLabel('State').selectOption('failed')
  await expect(deliveries.getByText('Nothing was sent yet.')).toBeVisible()

  await page.getByRole('button', { name: `Disable: ${url}` }).click()
  await expect(page.getByRole('button', { name: `Enable: ${url}` })).toBeVisible()
  await page.getByRole('button', { name: `Edit ${url}` }).click()
  await page.getByLabel('Tag').fill('nightly')
  await page.getByRole('button', { name: 'Save' }).click()
  await expect(page.getByRole('row').filter({ hasText: 'Tag: nightly' })).toContainText('off')
  await page.getByRole('button', { name: `Delete ${url}` }).click()
  await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click()
  await expect(page.getByText('No webhooks yet.')).toBeVisible()
  receiver.close()
})

test('a schedule is explained, paused, resumed and run', async ({ page, server }) => {
  await server.post('/workflows', { name: 'Report', graph })
  await page.goto(`${server.address}/?page=schedules`)
  await expect(page.getByText('No schedules yet.')).toBeVisible()
  await page.getByRole('button', { name: 'New schedule' }).click()
  const dialog = page.getByRole('dialog')
  await dialog.getByLabel('Name').fill('Every morning')
  await dialog.getByLabel('Time zone').fill('Europe/Berlin')
  await dialog.getByLabel('Times (cron)').fill('every day')
  await expect(dialog.getByText('This is not a cron expression.')).toBeVisible()
  await dialog.getByRole('button', { name: 'Create' }).click()
  await expect(dialog.getByRole('alert')).toContainText('cron')
  await dialog.getByLabel('Times (cron)').fill('30 7 * * MON-FRI')
  await expect(dialog.getByText('At 07:30, Monday through Friday')).toBeVisible()
  const next = dialog.getByRole('list', { name: 'Next runs' }).getByRole('listitem')
  await expect(next).toHaveCount(5)
  await expect(next.first()).toContainText('07:30:00')
  expect(await violations(page)).toEqual([])
  await dialog.getByRole('button', { name: 'Create' }).click()
  const row = page.getByRole('row').filter({ hasText: 'Every morning' })
  await expect(row).toContainText('At 07:30, Monday through Friday')
  await expect(row).toContainText('never')

  await row.getByRole('button', { name: 'Pause: Every morning' }).click()
  await expect(row).toContainText('paused')
  const [stored] = (await server.get<{ schedules: Schedule[] }>('/schedules')).schedules
  expect(stored).toMatchObject({ enabled: false, cron: '30 7 * * MON-FRI', timezone: 'Europe/Berlin' })
  await row.getByRole('button', { name: 'Resume: Every morning' }).click()
  await expect(row.getByRole('button', { name: 'Pause: Every morning' })).toBeVisible()
  await row.getByRole('button', { name: 'Run now: Every morning' }).click()
  await page.getByRole('dialog').getByRole('button', { name: 'Start' }).click()
  await expect(page.getByRole('heading', { name: 'Every morning' })).toBeVisible()
  await expect(page).toHaveURL(/\/sessions\//)
})

test('a rule of retention is counted before it is saved, and says what it has removed', async ({ page, server }) => {
  for (const end of ['complete', 'fail']) {
    const { id } = await server.post<{ id: string }>('/sessions', { tags: ['load'] })
    const command = end === 'fail' ? { type: 'fail', error: 'x' } : { type: 'complete' }
    await server.post(`/sessions/${id}/commands`, [{ type: 'start' }, command])
  }
  await page.goto(`${server.address}/?page=retention`)
  await expect(page.getByText('No rules: nothing is deleted or archived by itself.')).toBeVisible()
  await page.getByRole('button', { name: 'Add a rule' }).click()
  const rule = page.getByRole('region', { name: 'Rule 1' })
  await rule.getByLabel('Tag').fill('load')
  await rule.getByRole('button', { name: 'Count' }).click()
  await expect(rule.getByText('applies to 0 now')).toBeVisible()
  await rule.getByLabel('Days since the end').fill('0')
  await rule.getByRole('button', { name: 'Count' }).click()
  await expect(rule.getByText('applies to 2 now')).toBeVisible()
  await rule.getByRole('checkbox', { name: 'failed' }).uncheck()
  // What was counted was of another rule.
  await expect(rule.getByText(/applies to/)).toHaveCount(0)
  await rule.getByRole('button', { name: 'Count' }).click()
  await expect(rule.getByText('applies to 1 now')).toBeVisible()
  expect(await violations(page)).toEqual([])
  await page.getByRole('button', { name: 'Save' }).click()
  await page.getByRole('dialog').getByRole('button', { name: 'Save' }).click()
  await expect(rule.getByText('not saved yet')).toHaveCount(0)
  await expect
    .poll(async () => (await server.get<Retention>('/retention')).rules[0]?.removed, { timeout: 60_000 })
    .toBe(1)
  await page.reload()
  await expect(rule.getByText(/^1 deleted/)).toBeVisible()
  await rule.getByRole('button', { name: 'Delete Rule 1' }).click()
  await page.getByRole('button', { name: 'Save' }).click()
  await page.getByRole('dialog').getByRole('button', { name: 'Save' }).click()
  await expect(page.getByText('No rules: nothing is deleted or archived by itself.')).toBeVisible()
  await expect.poll(async () => (await server.get<Retention>('/retention')).rules).toEqual([])
})

test('an alert is made, is raised by a run that fails, leads to it, is changed, disabled and deleted', async ({
  page,
  server,
}) => {
  await server.post('/webhooks', { url: 'http://127.0.0.1:9/hook', types: ['alert.raised'] })
  await page.goto(`${server.address}/?page=alerts`)
  await expect(page.getByText('No alerts yet.')).toBeVisible()
  await page.getByRole('button', { name: 'New alert' }).click()
  const dialog = page.getByRole('dialog')
  await dialog.getByLabel('Name', { exact: true }).fill('Nightly fails')
  await dialog.getByLabel('Failed runs').fill('')
  await expect(dialog.getByRole('button', { name: 'Create' })).toBeDisabled()
  await dialog.getByLabel('Failed runs').fill('1')
  await dialog.getByLabel('Tag').fill('nightly-alert')
  await dialog.getByRole('checkbox', { name: 'http://127.0.0.1:9/hook' }).check()
  // What the server refuses is said, and nothing that was entered is lost.
  await dialog.getByLabel('E-mail addresses').fill('ada@example.org')
  await dialog.getByRole('button', { name: 'Create' }).click()
  await expect(dialog.getByRole('alert')).toContainText('RELIVE_SMTP_URL')
  await dialog.getByLabel('E-mail addresses').fill('')
  await dialog.getByRole('button', { name: 'Create' }).click()
  await expect(dialog).toBeHidden()
  const row = page.getByRole('row').filter({ has: page.getByRole('button', { name: 'Nightly fails', exact: true }) })
  await expect(row).toContainText('1 run failed within 10 minutes')
  await expect(row).toContainText('Tag: nightly-alert')
  await expect(row).toContainText('1 webhook')
  await expect(row).toContainText('resolved')
  const events = page.getByRole('region', { name: 'When it was raised', exact: true })
  await expect(events).toContainText('It was never raised.')

  const { id } = await server.post<{ id: string }>('/sessions', { name: 'Ledger', tags: ['nightly-alert'] })
  await server.post(`/sessions/${id}/commands`, [{ type: 'start' }, { type: 'fail', error: 'no ledger' }])
  await expect(row).toContainText('raised', { timeout: 40_000 })
  await expect(events.getByRole('link', { name: '1 failed run' })).toHaveAttribute('href', new RegExp(id))
  expect(await violations(page)).toEqual([])

  await row.getByRole('button', { name: 'Edit Nightly fails' }).click()
  await page.getByRole('dialog').getByLabel('Condition').selectOption({ label: 'runs cost much' })
  await page.getByRole('dialog').getByLabel('US dollars a day').fill('2.5')
  await page.getByRole('dialog').getByRole('button', { name: 'Save' }).click()
  await expect(row).toContainText('the runs of a day cost more than $2.50')
  // Its new condition does not hold.
  await expect(row).toContainText('resolved', { timeout: 30_000 })
  await row.getByRole('button', { name: 'Disable: Nightly fails' }).click()
  await expect(row).toContainText('off')
  await row.getByRole('button', { name: 'Delete Nightly fails' }).click()
  await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click()
  await expect(page.getByText('No alerts yet.')).toBeVisible()
})
