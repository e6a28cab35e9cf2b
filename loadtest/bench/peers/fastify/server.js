// The order call in Node: Fastify checks the request, one script call decides, and the order goes into a stream
// (QUEUE=stream, in the same script call) or into BullMQ (QUEUE=bullmq, in a call of its own).
'use strict'

const cluster = require('node:cluster')
const crypto = require('node:crypto')
const fs = require('node:fs')
const path = require('node:path')

const LIMIT = 1
const { HOST, PORT, REDIS_PORT, QUEUE, WORKERS } = process.env

const body = {
  type: 'object',
  required: ['lines'],
  additionalProperties: false,
  properties: {
    lines: {
      type: 'array',
      minItems: 1,
      maxItems: 1,
      items: {
        type: 'object',
        required: ['sku', 'quantity'],
        additionalProperties: false,
        properties: { sku: { const: 'phone' }, quantity: { type: 'integer', minimum: 1, maximum: 1000000 } }
      }
    },
    payload: {}
  }
}

const headers = {
  type: 'object',
  required: ['x-buyer-id', 'idempotency-key'],
  properties: {
    'x-buyer-id': { type: 'string', minLength: 1, maxLength: 128 },
    'idempotency-key': { type: 'string', minLength: 1, maxLength: 255 }
  }
}

const response = {
  202: { type: 'object', properties: { ticket: { type: 'string' }, state: { type: 'string' } } },
  409: { type: 'object', properties: { code: { type: 'string' } } }
}

function connect () {
  const Redis = require('ioredis')
  return new Redis({ host: '127.0.0.1', port: Number(REDIS_PORT), enableAutoPipelining: true, maxRetriesPerRequest: null })
}

// Each takes an order: [outcome, ticket].
const queues = {
  stream (script) {
    const redis = connect()
    redis.defineCommand('take', { numberOfKeys: 2, lua: script })
    return (sale, buyer, key, order) => redis.take(
      `{${sale}}:book`, `{${sale}}:queue`, buyer, key, order.lines[0].quantity, LIMIT, JSON.stringify(order))
  },

  bullmq (script) {
    const { Queue } = require('bullmq')
    const redis = connect()
    redis.defineCommand('take', { numberOfKeys: 1, lua: script })
    const sales = new Map()
    const queueOf = sale => {
      let queue = sales.get(sale)
      if (!queue) sales.set(sale, queue = new Queue(sale, { connection: redis, skipVersionCheck: true }))
      return queue
    }
    return async (sale, buyer, key, order) => {
      const taken = await redis.take(
        `{${sale}}:book`, buyer, key, order.lines[0].quantity, LIMIT, '', crypto.randomUUID())
      // A replay queues again, in case that this process died in between: BullMQ knows the id.
      if (taken[1]) await queueOf(sale).add('order', { buyer, key, order }, { jobId: taken[1] })
      return taken
    }
  }
}

async function serve () {
  const take = queues[QUEUE](fs.readFileSync(path.join(__dirname, '..', 'take.lua'), 'utf8'))
  const app = require('fastify')({ logger: false, bodyLimit: 8192, keepAliveTimeout: 3600000 })
  app.post('/v1/sales/:sale/orders', { schema: { body, headers, response } }, async (request, reply) => {
    const { 'x-buyer-id': buyer, 'idempotency-key': key } = request.headers
    const [outcome, ticket] = await take(request.params.sale, buyer, key, request.body)
    reply.header('cache-control', 'no-store')
    if (!ticket) {
      reply.code(409).header('content-type', 'application/problem+json')
      return { code: outcome }
    }
    if (outcome === 'replayed') reply.header('idempotent-replayed', 'true')
    reply.code(202).header('location', `/v1/tickets/${ticket}`)
    return { ticket, state: 'queued' }
  })
  await app.listen({ host: HOST, port: Number(PORT), backlog: 2048 })
}

if (cluster.isPrimary && Number(WORKERS) > 1) {
  for (let worker = 0; worker < Number(WORKERS); worker++) cluster.fork()
} else {
  serve()
}
