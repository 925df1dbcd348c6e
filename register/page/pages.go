package page

import (
	"context"
	"iter"
)

// Pages walks all addresses of an export, those that links of any page lead to and those for
// machines. It stops at the first error.
func (p *Page) Pages(ctx context.Context) iter.Seq2[Address, error] {
	return func(yield func(Address, error) bool) {
		for _, l := range Langs {
			if !yield(Address{Kind: Home, Lang: l}, nil) {
				return
			}
		}
	}
}
