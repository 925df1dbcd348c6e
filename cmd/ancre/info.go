package main

import (
	"errors"
	"fmt"

	"ancre/proof"

	"github.com/spf13/cobra"
)

func (a *app) infoCommand() *cobra.Command {
	var verbose bool
	cmd := &cobra.Command{
		Use:   "info FILE.ots…",
		Short: "Explain what a proof says, step by step",
		Long: `Explain what a proof says, without verifying it: which digest it is about, and each step from there to a Bitcoin block
or to a calendar's promise. No daemon is needed. FILE means FILE.ots where there is one; "-" is standard input.`,
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

func (a *app) info(args []string, verbose bool) error {
	exit := exitDone
	for i, arg := range args {
		r := struct {
			ProofFile string `json:"proof_file"`
			*proof.Explanation
			Error string `json:"error,omitempty"`
		}{ProofFile: arg}
		var f *proof.File
		var err error
		if arg == "-" {
			f, _, err = parseProof(a.in)
		} else {
			r.ProofFile = proofPath(arg)
			f, _, err = readProof(r.ProofFile)
		}
		if err == nil {
			r.Explanation, err = proof.Explain(f)
		}
		if err != nil {
			exit, r.Error = exitFailed, plainError(err).Error()
		}
		switch {
		case a.json:
			a.printJSON(r, true)
		case err != nil:
			a.complain("%s: %s", shown(r.ProofFile), r.Error)
		default:
			if len(args) > 1 {
				if i > 0 {
					fmt.Fprintln(a.out)
				}
				fmt.Fprintf(a.out, "%s:\n", shown(r.ProofFile))
			}
			fmt.Fprint(a.out, r.Text(verbose))
		}
	}
	return finish(exit)
}
