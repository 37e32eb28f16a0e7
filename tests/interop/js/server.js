// A server of both networks and a relay, all of it js-libp2p. Says its address in a line of JSON,
// and then answers each line of JSON on stdin with one on stdout:
//   {"held": KEY}                    what records of that key it holds, and what js thinks of each
//   {"judge": {"key":, "value":}}    what js thinks of this record
//   {"reservations": true}           who may be met here
// Keys and values are in hexadecimal. It ends with stdin.

import { createInterface } from 'node:readline'
import { noise } from '@chainsafe/libp2p-noise'
import { yamux } from '@chainsafe/libp2p-yamux'
import { circuitRelayServer } from '@libp2p/circuit-relay-v2'
import { identify } from '@libp2p/identify'
import { kadDHT, passthroughMapper, Record } from '@libp2p/kad-dht'
import { ping } from '@libp2p/ping'
import { tcp } from '@libp2p/tcp'
import { MemoryDatastore } from 'datastore-core'
import { ipnsSelector } from 'ipns/selector'
import { ipnsValidator } from 'ipns/validator'
import { createLibp2p } from 'libp2p'

const networks = { '/twocan/kad/1.0.0': '/own', '/ipfs/kad/1.0.0': '/public' }

const datastore = new MemoryDatastore()
const dht = (protocol) => kadDHT({
  protocol,
  logPrefix: `kad${networks[protocol]}`,
  metricsPrefix: `kad${networks[protocol]}`,
  datastorePrefix: networks[protocol],
  clientMode: false,
  allowQueryWithZeroPeers: true,
  // All others leave out the addresses of the loopback.
  peerInfoMapper: passthroughMapper,
  validators: { ipns: ipnsValidator },
  selectors: { ipns: ipnsSelector }
})

const node = await createLibp2p({
  addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
  datastore,
  transports: [tcp()],
  connectionEncrypters: [noise()],
  streamMuxers: [yamux()],
  services: {
    identify: identify(),
    ping: ping(),
    relay: circuitRelayServer(),
    own: dht('/twocan/kad/1.0.0'),
    public: dht('/ipfs/kad/1.0.0')
  }
})
// Left alone it stays a client, as nobody on the Internet can reach it.
await node.services.own.setMode('server')
await node.services.public.setMode('server')
say({ address: node.getMultiaddrs()[0].toString(), version: process.version })

for await (const line of createInterface({ input: process.stdin })) {
  say(await answer(JSON.parse(line)))
}
await node.stop()
process.exit(0)

async function answer (question) {
  if (question.held != null) {
    return { records: await held(Buffer.from(question.held, 'hex')) }
  }
  if (question.judge != null) {
    const { key, value } = question.judge
    return { wrong: await wrong(Buffer.from(key, 'hex'), Buffer.from(value, 'hex')) }
  }
  if (question.reservations != null) {
    return { reservations: [...node.services.relay.reservations.keys()].map(String) }
  }
  throw new Error(`what is ${JSON.stringify(question)}?`)
}

async function held (key) {
  const records = []
  for (const [network, prefix] of Object.entries(networks)) {
    for await (const entry of datastore.query({ prefix: `${prefix}/record` })) {
      const record = Record.deserialize(entry.value)
      if (key.equals(record.key)) {
        const value = Buffer.from(record.value)
        records.push({ network, value: value.toString('hex'), wrong: await wrong(key, value) })
      }
    }
  }
  return records
}

// Why the record is not valid under the key; null: it is.
async function wrong (key, value) {
  try {
    await ipnsValidator(key, value)
    return null
  } catch (error) {
    return `${error.name}: ${error.message}`
  }
}

function say (answer) {
  process.stdout.write(JSON.stringify(answer) + '\n')
}
