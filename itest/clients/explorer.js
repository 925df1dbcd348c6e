// Verifies a proof as a web page with the library opentimestamps does: with no node, asking an explorer for the block.
//
// Usage: explorer.js FILE.ots DIGEST URL. Prints what the library answers, as JSON; ends with status 1 and its reason when it refuses.
'use strict'

const fs = require('fs')
const ots = require('opentimestamps')

const [, , file, digest, url] = process.argv
const detached = ots.DetachedTimestampFile.deserialize(fs.readFileSync(file))
const original = ots.DetachedTimestampFile.fromHash(new ots.Ops.OpSHA256(), ots.Utils.hexToBytes(digest))
console.log = console.error // the library tells what it does; standard output is for the answer
ots.verify(detached, original, { ignoreBitcoinNode: true, url, timeout: 10000, whitelist: new ots.Calendar.UrlWhitelist() })
  .then(answer => process.stdout.write(JSON.stringify(answer)))
  .catch(err => {
    console.error(err.message)
    process.exit(1)
  })
