// Puts the orders of a file, one JSON document a line, into the queue.
'use strict'

const fs = require('node:fs')
const { Queue } = require('bullmq')
const { NAME, connect } = require('./queue')

const CHUNK = 1000

async function enqueue (file) {
  const connection = connect()
  const queue = new Queue(NAME, { connection })
  const orders = fs.readFileSync(file, 'utf8').trimEnd().split('\n').map(line => JSON.parse(line))
  for (let from = 0; from < orders.length; from += CHUNK) {
    // The ticket is the job's id: an order that is enqueued again is the same job.
    await queue.addBulk(orders.slice(from, from + CHUNK).map(order => (
      { name: 'order', data: order, opts: { jobId: order.ticket, attempts: 5, backoff: { type: 'exponential', delay: 100 } } })))
  }
  await queue.close()
  await connection.quit()
}

enqueue(process.argv[2])
