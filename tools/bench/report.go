package main

import (
	"bytes"
	_ "embed"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"text/template"
	"time"
)

// cells are a row as it is printed: name, figure, floor, ratio, spread of the rounds, target,
// verdict.
func (r *row) cells() []string {
	number := func(x float64) string {
		if r.absent != "" || x == 0 {
			return ""
		}
		return brief(x) + " " + r.unit
	}
	cells := []string{r.name, number(r.ours), number(r.floor), "", "", r.wants(), r.verdict()}
	if r.absent == "" && len(r.ratios) > 0 {
		cells[3] = fmt.Sprintf("%.2f", r.ratio())
		cells[4] = fmt.Sprintf("%.2f to %.2f", slices.Min(r.ratios), slices.Max(r.ratios))
	}
	return cells
}

var headings = []string{"figure", "ours", "floor", "ratio", "of the rounds", "target", ""}

// printTable writes the rows for a terminal.
func printTable(w io.Writer, rows []row) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, strings.Join(headings, "\t"))
	for i := range rows {
		fmt.Fprintln(t, strings.Join(rows[i].cells(), "\t"))
	}
	_ = t.Flush()
	fmt.Fprintln(w, "\nFigures are medians of the rounds. A ratio is ours ÷ the floor of the same round; the median of the ratios counts.")
	fmt.Fprintln(w, tally(rows))
	fmt.Fprintln(w)
	for i := range rows {
		if text := rows[i].remark(); text != "" {
			fmt.Fprintf(w, "%s: %s.\n", rows[i].name, text)
		}
	}
}

// remark is the remark on a row, without a full stop.
func (r *row) remark() string { return strings.TrimSuffix(r.detail+r.absent, ".") }

// tally counts the verdicts, in words.
func tally(rows []row) string {
	var missedOnes []string
	counts := make(map[string]int)
	for i := range rows {
		v := rows[i].verdict()
		if rows[i].target.of == nothing {
			continue
		}
		counts[v]++
		if v == missed {
			missedOnes = append(missedOnes, rows[i].name)
		}
	}
	text := fmt.Sprintf("Of %d figures with a target %d met it, %d missed it, %d were not measured.",
		counts[met]+counts[missed]+counts[notMeasured], counts[met], counts[missed], counts[notMeasured])
	if len(missedOnes) > 0 {
		text += " Missed: " + strings.Join(missedOnes, "; ") + "."
	}
	return text
}

// markdown is the table as it stands in the document.
func markdown(rows []row) string {
	var s strings.Builder
	s.WriteString("| " + strings.Join(headings, " | ") + " |\n|---|--:|--:|--:|:-:|:-:|---|\n")
	for i := range rows {
		cells := rows[i].cells()
		if cells[6] == missed || cells[6] == notMeasured {
			cells[6] = "**" + cells[6] + "**"
		}
		s.WriteString("| " + strings.Join(cells, " | ") + " |\n")
	}
	return s.String()
}

// details are the remarks on the rows.
func details(rows []row) string {
	var s strings.Builder
	for i := range rows {
		if text := rows[i].remark(); text != "" {
			fmt.Fprintf(&s, "- **%s**: %s.\n", rows[i].name, text)
		}
	}
	return s.String()
}

//go:embed performance.md.tmpl
var documentText string

// document holds the values for the template of docs/performance.md.
type document struct {
	Machine, Date, Seconds string
	Rounds                 int
	Table, Details, Tally  string

	Built                          string // digests in the largest store; empty: there was none
	Large                          bool   // it is that of -store
	PaceFirst, PaceLast, PaceRatio string // digests/s at the two ends of its build
	Flat                           bool   // they are alike

	BatchRow, ProofRow string // names of the rows at the largest store
}

// flatFrom is the part of its first speed that a build must keep to count as flat.
const flatFrom = 0.8

// writeDocument writes performance.md and its plots.
func (b *bench) writeDocument(dir string) error {
	page, plots, err := b.document()
	if err != nil {
		return err
	}
	for name, plot := range plots {
		if err := os.WriteFile(filepath.Join(dir, name), plot, 0o644); err != nil {
			return err
		}
	}
	path := filepath.Join(dir, "performance.md")
	if err := os.WriteFile(path, page, 0o644); err != nil {
		return err
	}
	fmt.Printf("Wrote %s and %d plots beside it.\n", path, len(plots))
	return nil
}

// document makes performance.md and its plots, by name.
func (b *bench) document() (page []byte, plots map[string][]byte, err error) {
	d := document{
		Machine: b.machine, Date: time.Now().UTC().Format("2 January 2006"), Seconds: brief(b.time.Seconds()), Rounds: b.rounds,
		Table: markdown(b.rows), Details: details(b.rows), Tally: tally(b.rows),
	}
	plots = map[string][]byte{"performance-ratios.svg": plotRatios(b.rows), "performance-latency.svg": plotLatencies(b.latencies)}
	built := b.medium
	if b.large != nil {
		built, d.Large = b.large, true
	}
	var pace []pace
	if built != nil {
		pace, d.Built = built.book.Pace, count(built.book.Stored)
		first, last := ends(pace)
		d.PaceFirst, d.PaceLast, d.PaceRatio, d.Flat = brief(first), brief(last), fmt.Sprintf("%.2f", last/first), last/first >= flatFrom
		d.BatchRow, d.ProofRow = "submitbatch of 1,000, "+d.Built+" stored", "getproof, "+d.Built+" stored"
	}
	plots["performance-build.svg"] = plotPace(pace)
	t, err := template.New("performance.md").Funcs(template.FuncMap{"ours": b.ours}).Parse(documentText)
	if err != nil {
		return nil, nil, err
	}
	var text bytes.Buffer
	err = t.Execute(&text, d)
	return text.Bytes(), plots, err
}

// ours is the figure of a row, in words.
func (b *bench) ours(name string) string {
	for i := range b.rows {
		if r := &b.rows[i]; r.name == name && r.absent == "" {
			return brief(r.ours) + " " + r.unit
		}
	}
	return "(not measured: " + name + ")"
}
