package server

import (
	"encoding/hex"
	"strings"

	"ancre/rpc"
)

func createWallet(c *call) (any, error) {
	replace := c.get("replace").flag
	passphrase, perr := passphraseOf(c, "passphrase")
	words := strings.Fields(c.get("words").text)
	birthday := c.get("birthday").time
	if perr != nil {
		return nil, perr
	}
	if passphrase == "" {
		return nil, errorf(rpc.CodeInvalidParameter, "passphrase: is empty; the keys on disk are encrypted with it, so choose one")
	}
	if c.get("words").set && len(words) == 0 {
		return nil, errorf(rpc.CodeInvalidParameter, "words: are empty; leave the parameter out to make a wallet with new words")
	}
	if len(words) == 0 && !birthday.IsZero() {
		return nil, errorf(rpc.CodeInvalidParameter, "birthday: is only for restoring a wallet from words")
	}
	if replace {
		return c.Wallet.Replace(c.ctx, passphrase, words, birthday)
	}
	return c.Wallet.Create(c.ctx, passphrase, words, birthday)
}

// passphraseOf returns the bytes of a passphrase.
func passphraseOf(c *call, param string) (string, *rpc.Error) {
	text, encoding := c.get(param).text, c.get("passphrase_encoding").text
	if encoding != rpc.PassphraseHex {
		return text, nil
	}
	b, err := hex.DecodeString(text)
	if err != nil {
		return "", errorf(rpc.CodeInvalidParameter, "%s: is not hexadecimal, though passphrase_encoding is hex: want two digits for each byte", param)
	}
	return string(b), nil
}

func unlockWallet(c *call) (any, error) {
	passphrase, err := passphraseOf(c, "passphrase")
	if err != nil {
		return nil, err
	}
	return nil, c.Wallet.Unlock(c.ctx, passphrase)
}

func changePassphrase(c *call) (any, error) {
	old, err := passphraseOf(c, "old_passphrase")
	if err != nil {
		return nil, err
	}
	new, err := passphraseOf(c, "new_passphrase")
	if err != nil {
		return nil, err
	}
	return c.Wallet.ChangePassphrase(c.ctx, old, new)
}

func getNewAddress(c *call) (any, error) {
	verbose := c.get("verbose").flag
	a, err := c.Wallet.NewAddress(c.ctx)
	if err != nil || verbose {
		return a, err
	}
	return a.Address, nil
}

func getBalance(c *call) (any, error) { return c.Wallet.Balance(c.ctx) }

func listTransactions(c *call) (any, error) {
	list, err := c.Wallet.Transactions(c.ctx, int(c.get("count").number), int(c.get("skip").number))
	if err == nil && list == nil {
		list = []rpc.Transaction{} // scripts expect [], not null
	}
	return list, err
}

func sendToAddress(c *call) (any, error) {
	dry, verbose := c.get("dry_run").flag, c.get("verbose").flag
	p, err := c.Wallet.Send(c.ctx, c.get("address").text, c.get("amount_sats").number, c.get("fee_rate").number, dry)
	if err != nil || dry || verbose {
		return p, err
	}
	return p.TxID, nil
}

func estimateFee(c *call) (any, error) {
	f, err := c.Chain.Fees(c.ctx)
	if err != nil {
		return nil, err
	}
	if f.Blocks == nil {
		f.Blocks = []rpc.FeeBlock{} // scripts expect [], not null
	}
	if f.NextAnchor == nil {
		f.NextAnchor = []rpc.FeeStep{}
	}
	return f, nil
}
