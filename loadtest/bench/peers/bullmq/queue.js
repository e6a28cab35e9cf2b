// The queue that both halves share: who enqueues and who works.
'use strict'

const Redis = require('ioredis')

exports.NAME = 'orders'
exports.connect = () => new Redis({ host: '127.0.0.1', port: Number(process.env.REDIS_PORT), maxRetriesPerRequest: null })
