package nats

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// Headers of JetStream.
const (
	headerStatus   = "Status"
	headerSubject  = "Nats-Subject"
	headerSequence = "Nats-Sequence"
	headerLast     = "Nats-Last-Sequence"
	headerPending  = "Nats-Num-Pending"
	headerUpTo     = "Nats-UpTo-Sequence"
	headerID       = "Nats-Msg-Id"
	headerExpected = "Nats-Expected-Last-Subject-Sequence"
	headerTTL      = "Nats-TTL"
)

const (
	askTimeout = 2 * time.Second // for one request
	askTopics  = 256             // topics in one request; servers answer for at most 1,024
	askBatch   = 256             // messages in one request
	askBytes   = 4 << 20         // bytes in one request, if a message is not larger
)

var (
	errNotFound = errors.New("nats: no such message")
	errLags     = errors.New("nats: a replica of the stream lags behind")
	// The stream has no leader, or was deleted.
	errNobody = errors.New("nats: nobody answers for the stream")
)

// requests are requests that wait for answers: several for one request, unlike those of nats.go.
type requests struct {
	inbox string
	mu    sync.Mutex
	next  uint64
	wait  map[string]chan *nats.Msg // by the last token of the reply's subject
}

func (r *requests) init() {
	r.inbox = nats.NewInbox()
	r.wait = make(map[string]chan *nats.Msg)
}

// answer takes a message that has come for a request.
func (r *requests) answer(m *nats.Msg) {
	token := m.Subject[strings.LastIndexByte(m.Subject, '.')+1:]
	r.mu.Lock()
	c := r.wait[token]
	r.mu.Unlock()
	select {
	case c <- m:
	default: // nobody waits for it, or it is more than was asked for
	}
}

// getRequest is a request for messages of the stream by direct get.
type getRequest struct {
	Seq      uint64   `json:"seq,omitempty"`
	LastFor  string   `json:"last_by_subj,omitempty"`
	NextFor  string   `json:"next_by_subj,omitempty"`
	LastOf   []string `json:"multi_last,omitempty"`
	Batch    int      `json:"batch,omitempty"`
	MaxBytes int      `json:"max_bytes,omitempty"`
}

// getAnswer is what the stream has answered. more says that there are further messages.
type getAnswer struct {
	msgs []*nats.Msg
	more bool
	upTo uint64 // the last sequence of the stream then; known for LastOf only
}

// get asks for messages of the stream. Any replica may answer, also one that lags behind. It fails
// with errNotFound if there is none.
func (b *Broker) get(r getRequest) (getAnswer, error) {
	data, err := json.Marshal(r)
	if err != nil {
		return getAnswer{}, err
	}
	single := r.Batch == 0 && r.LastOf == nil
	m := nats.NewMsg("$JS.API.DIRECT.GET." + b.cfg.stream)
	m.Data = data
	return b.ask(m, max(r.Batch, len(r.LastOf)), single)
}

// ask sends a request and collects its answers: one if single, and otherwise all up to that with
// status 204.
func (b *Broker) ask(m *nats.Msg, most int, single bool) (a getAnswer, err error) {
	ctx, cancel := context.WithTimeout(b.ctx, askTimeout)
	defer cancel()
	r := &b.asks
	c := make(chan *nats.Msg, most+2)
	r.mu.Lock()
	r.next++
	token := strconv.FormatUint(r.next, 36)
	r.wait[token] = c
	r.mu.Unlock()
	defer func() {
		r.mu.Lock()
		delete(r.wait, token)
		r.mu.Unlock()
	}()
	m.Reply = r.inbox + ".r." + token
	if err := b.nc.Load().PublishMsg(m); err != nil {
		return a, err
	}
	for {
		select {
		case m := <-c:
			switch status := m.Header.Get(headerStatus); status {
			case "":
				a.msgs = append(a.msgs, m)
				if single {
					return a, nil
				}
			case "204":
				pending := number(m, headerPending)
				a.more = pending > 0
				a.upTo = number(m, headerUpTo)
				return a, nil
			case "404":
				return a, errNotFound
			case "503":
				return a, errNobody
			default:
				return a, fmt.Errorf("nats: the stream answers %s %s", status, m.Header.Get("Description"))
			}
		case <-ctx.Done():
			return a, ErrTimeout
		}
	}
}

// number returns a number in a header, or 0.
func number(m *nats.Msg, header string) uint64 {
	n, _ := strconv.ParseUint(m.Header.Get(header), 10, 64)
	return n
}

// ack is JetStream's answer to a message that was published.
type ack struct {
	Seq       uint64 `json:"seq"`
	Duplicate bool   `json:"duplicate"`
	Error     *struct {
		Code        int    `json:"err_code"`
		Description string `json:"description"`
	} `json:"error"`
}

const (
	codeTooLarge      = 10054 // the message is larger than the stream allows
	codeWrongSequence = 10071 // the expected last sequence of the subject is not that
)

// parseAck returns the answer to a message that was published, or its error.
func parseAck(m *nats.Msg) (ack, error) {
	var a ack
	if status := m.Header.Get(headerStatus); status != "" {
		return a, fmt.Errorf("%w (status %s)", errNobody, status)
	}
	if err := json.Unmarshal(m.Data, &a); err != nil {
		return a, err
	}
	if a.Error != nil {
		return a, fmt.Errorf("nats: %s (%d)", a.Error.Description, a.Error.Code)
	}
	return a, nil
}

// store publishes a message to the stream and waits until it is stored.
func (b *Broker) store(m *nats.Msg) (ack, error) {
	a, err := b.ask(m, 1, true)
	if err != nil {
		return ack{}, err
	}
	return parseAck(a.msgs[0])
}
