package harness

import (
	"io"
	"strings"
	"sync"
)

// Typed is a question of a program, and what a person answers. The answer may depend on what the
// program has printed.
type Typed struct {
	Question string
	Answer   func(printed string) string
}

// screen is what a program prints on a terminal, and the person who answers its questions.
type screen struct {
	keyboard io.Writer

	mu      sync.Mutex
	answers []Typed
	printed strings.Builder
	seen    int // so much of printed was there when the last question was answered
}

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.printed.Write(p)
	text := s.printed.String()
	for len(s.answers) > 0 && strings.Contains(text[s.seen:], s.answers[0].Question) {
		s.seen = len(text)
		// If the program is gone, its exit status says so.
		_, _ = io.WriteString(s.keyboard, s.answers[0].Answer(text)+"\n")
		s.answers = s.answers[1:]
	}
	return len(p), nil
}

// text is everything that was printed, with the line ends of a file.
func (s *screen) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.ReplaceAll(s.printed.String(), "\r\n", "\n")
}

// unanswered returns the first question that never came.
func (s *screen) unanswered() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.answers) == 0 {
		return ""
	}
	return s.answers[0].Question
}
