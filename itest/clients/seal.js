// Signs a file's hash as Woleet's signers do, with the library that Woleet's verifier checks signatures with.
//
// Usage: seal.js HASH IDENTITY DOMAIN. Prints a new key's seal as JSON, the member "signature" of a receipt.
'use strict'

const crypto = require('crypto')
const bitcoin = require('bitcoinjs-lib')
const message = require('bitcoinjs-message')

const [, , signedHash, signedIdentity, signedIssuerDomain] = process.argv
const key = bitcoin.ECPair.makeRandom()
const signed = crypto.createHash('sha256').update(signedHash + signedIdentity + signedIssuerDomain).digest('hex')
const signature = message.sign(signed, key.d.toBuffer(32), key.compressed).toString('base64')
process.stdout.write(JSON.stringify({ signedHash, signedIdentity, signedIssuerDomain, pubKey: key.getAddress(), signature }))
