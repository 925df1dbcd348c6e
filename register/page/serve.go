package page

import (
	"net/http"
	"strings"
)

// ServeHTTP implements [http.Handler].
func (p *Page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a, ok := ParsePath(r.URL.Path)
	if !ok || strings.Contains(r.URL.RawPath, "%2") {
		http.NotFound(w, r)
		return
	}
	answer, err := p.Render(r.Context(), a, p.ServerLinks())
	if err != nil {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", answer.Type)
	w.Write(answer.Body)
}
