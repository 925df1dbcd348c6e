package main

import (
	"encoding/hex"
	"errors"
	"fmt"

	"ancre/internal/command"
	"ancre/internal/printable"
	"ancre/proof"
	"ancre/proof/receipt"

	"github.com/spf13/cobra"
)

func (a *app) infoCommand() *cobra.Command {
	var verbose bool
	cmd := &cobra.Command{
		Use:   "info FILE.ots…",
		Short: "Explain what a proof or a receipt says, step by step",
		Long: `Explain what a proof or a Chainpoint receipt says, without verifying it: which digest it is about, and each step from there
to a Bitcoin block or to a calendar's promise. No daemon is needed. FILE means FILE.ots where there is one, else the receipt
beside it. "-" is standard input.`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return errors.New("explain what? Name proofs (FILE.ots)")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return a.info(args, verbose) },
	}
	cmd.Flags().BoolVarP(&verbose, "verbose", "v", false, "show the result of each step, and nothing shortened")
	return cmd
}

// explained is what is told of one proof or receipt, and with --json what is printed.
type explained struct {
	ProofFile string `json:"proof_file"`
	NameBytes string `json:"proof_file_bytes,omitempty"` // the exact name in base64, when it is no UTF-8
	Receipt   int    `json:"receipt,omitempty"`          // the version of a Chainpoint receipt
	*proof.Explanation
	Note  string `json:"note,omitempty"` // what the steps of a receipt do not show
	Error string `json:"error,omitempty"`
}

func (e *explained) fillNames() {
	fillName(&e.ProofFile, &e.NameBytes)
	e.Error = printable.Name(e.Error)
}

func (a *app) info(args []string, verbose bool) error {
	exit := exitDone
	for i, arg := range args {
		var e explained
		if err := a.explain(arg, &e); err != nil {
			status := exitFailed
			if errors.Is(err, proof.ErrUnsupported) {
				status = exitUnverifiable
			}
			exit, e.Error = worse(exit, status), plainError(err).Error()
		}
		switch {
		case a.json:
			a.printJSON(&e, true)
		case e.Error != "":
			a.complain("%s: %s", shown(e.ProofFile), e.Error)
		default:
			if len(args) > 1 {
				if i > 0 {
					fmt.Fprintln(a.out)
				}
				a.say("%s:\n", shown(e.ProofFile))
			}
			fmt.Fprint(a.out, e.text(verbose))
		}
	}
	return command.Finish(exit)
}

// explain reads what an argument means and explains it.
func (a *app) explain(arg string, e *explained) error {
	e.ProofFile = arg
	data, name, err := a.readReceipt(target{path: arg})
	if err != nil {
		return err
	}
	if data != nil && (name == "-" || isReceiptName(name) || receipt.NamesChainpoint(data)) {
		e.ProofFile = name
		return e.ofReceipt(data)
	}
	var f *proof.File
	if arg == "-" {
		f, _, err = parseProof(a.in)
	} else {
		e.ProofFile = proofPath(arg)
		f, _, err = readProof(e.ProofFile)
	}
	if err == nil {
		e.Explanation, err = proof.Explain(f)
	}
	return err
}

// ofReceipt explains a receipt: its steps are those of the same proof as .ots.
func (e *explained) ofReceipt(data []byte) error {
	r, err := receipt.Parse(data)
	if err != nil {
		return err
	}
	e.Receipt = r.Version()
	about := r.Digest()
	f, err := receipt.Proof(r)
	if err == nil {
		e.Explanation, err = proof.Explain(f)
	}
	if err != nil {
		// It names its transaction alone, or has operations that no .ots has.
		e.Explanation = &proof.Explanation{HashOp: proof.SHA256.String(), Digest: hex.EncodeToString(about[:])}
		e.Note = fmt.Sprintf("its steps cannot be shown: %v", err)
		return nil
	}
	if e.Digest != hex.EncodeToString(about[:]) {
		e.Note = fmt.Sprintf("it is sealed: what begins the steps is the hash of a signature, and the file has sha256 %x", about)
	}
	return nil
}

// text lays it out for a terminal.
func (e *explained) text(verbose bool) string {
	text := e.Text(verbose)
	if e.Receipt != 0 {
		text = fmt.Sprintf("Chainpoint receipt of version %d\n%s", e.Receipt, text)
	}
	if e.Note != "" {
		text += "# " + e.Note + "\n"
	}
	return text
}
