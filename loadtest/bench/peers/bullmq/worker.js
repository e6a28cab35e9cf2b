// Carries orders from the queue into the shop's tables: a transaction an order, as a shop would write it.
'use strict'

const { Worker } = require('bullmq')
const mysql = require('mysql2/promise')
const { NAME, connect } = require('./queue')

const { MYSQL_PORT, DATABASE, CONCURRENCY } = process.env
const concurrency = Number(CONCURRENCY)

const INSERT = `INSERT INTO forebay_orders (ticket_id, line, sale, sale_no, order_no, sku, buyer, quantity, state, payload,
  epoch, sequence, attempt, accepted_at, attempted_at) VALUES (?, 1, ?, ?, ?, ?, ?, ?, 'placed', ?, 1, ?, 1, ?, UTC_TIMESTAMP(6))`
const TAKE = `UPDATE forebay_stock SET available = available - ? WHERE sale_no = ? AND sku = ? AND available >= ?`

const pool = mysql.createPool(
  { host: '127.0.0.1', port: Number(MYSQL_PORT), user: 'root', database: DATABASE, connectionLimit: concurrency })

async function place ({ data: order }) {
  const { ticket, sale, sale_no: saleNo, order_no: orderNo, sku, buyer, quantity, payload, sequence } = order
  const connection = await pool.getConnection()
  try {
    await connection.beginTransaction()
    await connection.execute(
      INSERT, [ticket, sale, saleNo, orderNo, sku, buyer, quantity, payload, sequence, order.accepted_at])
    const [taken] = await connection.execute(TAKE, [quantity, saleNo, sku, quantity])
    if (taken.affectedRows !== 1) throw new Error(`${sku} is sold out`)
    await connection.commit()
  } catch (error) {
    await connection.rollback()
    // The order is there: an earlier attempt placed it.
    if (error.code !== 'ER_DUP_ENTRY') throw error
  } finally {
    connection.release()
  }
}

const worker = new Worker(NAME, place, { connection: connect(), concurrency, removeOnComplete: { count: 0 } })
worker.on('failed', (job, error) => console.error(`${job?.id}: ${error.message}`))
worker.on('error', error => console.error(error.message))
worker.waitUntilReady().then(() => console.log('ready'))

process.on('SIGTERM', async () => {
  await worker.close()
  await pool.end()
  process.exit(0)
})
