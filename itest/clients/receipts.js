// Has Woleet's and Chainpoint's own verifiers judge receipts.
//
// Standard input: {"digest": HEX, "calendar": URL, "transactions": {TXID: {"confirmations", "timestamp", "opReturn"}}, "roots": {HEIGHT: MERKLEROOT}, "receipts": [RECEIPT, …]}.
// At the calendar, which is the real one, chainpoint-js asks for what the receipts' anchors name. Transactions and roots are what the test's node has in its blocks: they stand in for the web services that these verifiers would ask.
// Standard output: for each receipt an object of the verifiers that read its version, with "ok" or the reason why it is refused.
'use strict'

const path = require('path')
const input = JSON.parse(require('fs').readFileSync(0, 'utf8'))

const woleet = require('@woleet/woleet-weblibs')
woleet.transaction.get = async id => {
  const tx = input.transactions[id]
  if (!tx) throw new Error('tx_not_found')
  return { txId: id, confirmations: tx.confirmations, timestamp: new Date(tx.timestamp * 1000), opReturn: tx.opReturn }
}

// chainpoint-validate has its services in a module of its own, and no way to name others: this takes that module's place.
const validateFile = require.resolve('chainpoint-validate')
const servicesFile = require.resolve('blockchain-anchor', { paths: [path.dirname(validateFile)] })
require.cache[servicesFile] = {
  id: servicesFile,
  filename: servicesFile,
  loaded: true,
  exports: function Services () {
    this.confirm = (txid, root, done) => {
      const tx = input.transactions[txid]
      if (!tx) return done('no transaction ' + txid)
      done(null, tx.opReturn === root)
    }
    this.confirmBTCBlockHeader = (height, root, done) => {
      if (!input.roots[height]) return done('no block ' + height)
      done(null, input.roots[height] === root)
    }
  }
}
const Validator = require(validateFile)
const chainpointParse = require('chainpoint-parse')
console.log = console.error // chainpoint-js tells what it does; standard output is for the answer
const chainpointClient = require('chainpoint-js')

const copy = receipt => JSON.parse(JSON.stringify(receipt)) // a verifier may write into what it is given

async function byWoleet (receipt) {
  const verdict = await woleet.verify.DAB(input.digest, copy(receipt))
  return verdict.code === 'verified' ? 'ok' : verdict.code
}

function byValidate (receipt) {
  return new Promise(resolve => {
    try {
      // After some errors it goes on and answers once more, or throws: the first answer counts.
      new Validator().isValidReceipt(copy(receipt), true, (err, verdict) => {
        if (err) resolve(String(err))
        else if (!verdict.isValid) resolve(verdict.error)
        else if (!verdict.anchors.every(a => a.exists)) resolve('not there: ' + verdict.anchors.filter(a => !a.exists).map(a => a.type + ' ' + a.sourceId).join(', '))
        else resolve('ok')
      })
    } catch (err) {
      resolve(err.message)
    }
  })
}

// chainpoint-parse computes; its documentation leaves it to the caller to compare with the file's hash and with the block's Merkle root.
function byParse (receipt) {
  let parsed
  try {
    parsed = chainpointParse.parse(copy(receipt))
  } catch (err) {
    return 'not by the schema' // its message is that of an array of objects, or empty
  }
  if (parsed.hash !== input.digest) return 'another hash: ' + parsed.hash
  const anchors = []
  const collect = branches => branches.forEach(b => { anchors.push(...b.anchors); collect(b.branches || []) })
  collect(parsed.branches)
  if (anchors.length === 0) return 'no anchors'
  for (const a of anchors) {
    if (input.roots[a.anchor_id] !== a.expected_value) return `block ${a.anchor_id} has not the root ${a.expected_value}`
  }
  for (const b of parsed.branches.filter(b => b.label === 'btc_anchor_branch')) {
    const tx = input.transactions[b.btcTxId]
    if (!tx || tx.opReturn !== b.opReturnValue) return `no transaction ${b.btcTxId} with ${b.opReturnValue}`
  }
  return 'ok'
}

// chainpoint-js asks the calendar for the Merkle root that each anchor's address names.
async function byClient (receipt) {
  try {
    const anchors = await chainpointClient.verifyProofs([copy(receipt)], input.calendar)
    const refused = anchors.filter(a => !a.verified || a.hash !== input.digest)
    if (anchors.length === 0) return 'no anchors'
    return refused.length === 0 ? 'ok' : 'not verified: ' + refused.map(a => a.uri).join(', ')
  } catch (err) {
    return 'chainpoint-js: ' + (err.message || 'not by the schema')
  }
}

async function judge (receipt) {
  if ('targetHash' in receipt) return { woleet: await byWoleet(receipt), 'chainpoint-validate': await byValidate(receipt) }
  return { 'chainpoint-parse': byParse(receipt), 'chainpoint-js': await byClient(receipt) }
}

(async () => {
  const verdicts = []
  for (const receipt of input.receipts) verdicts.push(await judge(receipt))
  process.stdout.write(JSON.stringify(verdicts))
})()
