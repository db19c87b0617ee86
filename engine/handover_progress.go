package engine

import (
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"
)

// obstacle is why a connection has not moved to another process. An error of Save may name others,
// by a method Unmovable() string.
type obstacle string

const (
	obstacleState     obstacle = "state"     // it is being dialled, or closing
	obstacleHandshake obstacle = "handshake" // of its layer, or its PROXY header is not complete
	obstacleTimer     obstacle = "timer"     // of AfterFunc, without LeaveBehind
	obstacleProtocol  obstacle = "protocol"  // is not a Saver
	obstacleLayer     obstacle = "layer"     // has no state that can move
	obstacleSave      obstacle = "save"      // has returned an error
	obstaclePanic     obstacle = "panic"     // in Save
	obstacleSize      obstacle = "size"      // of the state
	obstacleRefused   obstacle = "refused"   // the new process could not read its state
)

// isFinal reports whether there is no point in waiting.
func (o obstacle) isFinal() bool {
	switch o {
	case obstacleProtocol, obstacleLayer, obstacleSize, obstacleRefused:
		return true
	}
	return false
}

// obstacleOf returns what an error of Save stands for.
func obstacleOf(err error) obstacle {
	var u interface{ Unmovable() string }
	if errors.As(err, &u) {
		return obstacle(u.Unmovable())
	}
	return obstacleSave
}

// HandoverStage is how far a handover has come.
type HandoverStage int

const (
	HandoverNone   HandoverStage = iota // there was none
	HandoverBegun                       // the processes are connected, the listeners move
	HandoverMoving                      // the new process accepts; connections move
	HandoverDone                        // all has moved that could
	HandoverFailed                      // each process goes on with what it owns: see Err
)

var stageNames = [...]string{"none", "begun", "moving", "done", "failed"}

// String returns the name of the stage.
func (s HandoverStage) String() string {
	if s < 0 || int(s) >= len(stageNames) {
		return fmt.Sprintf("HandoverStage(%d)", int(s))
	}
	return stageNames[s]
}

// HandoverStats is the progress of the last handover that the engine took part in.
type HandoverStats struct {
	Stage HandoverStage
	// Inherited is whether this process is, or was, the new one.
	Inherited bool
	// Total is how many connections the old process had when they began to move. The new one does
	// not know, and has 0.
	Total int
	// Moved is how many connections have moved, those included that the new process could not load
	// and has closed: its log tells why. Those that ended meanwhile are in Total only.
	Moved int
	// Stayed is how many have not, by the reason. Only the old process knows, when Stage is
	// HandoverDone. The reasons are "state" (being dialled, or closing), "handshake", "timer",
	// "protocol" (not a Saver), "layer", "save" (an error), "panic", "size", "refused" (by the new
	// process), and those that errors of Save name by a method Unmovable() string.
	Stayed map[string]int
	// Took is how long the handover has taken since Begun, or how long it has been going on.
	Took time.Duration
	// Err is why it has failed.
	Err error
}

// progress is what Handover tells.
type progress struct {
	mu    sync.Mutex
	stats HandoverStats
	begun time.Time
}

// Handover returns the progress of the last handover. It may be called from any goroutine.
func (e *Engine) Handover() HandoverStats {
	p := &e.moves.progress
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.stats
	s.Stayed = maps.Clone(s.Stayed)
	if s.Stage == HandoverBegun || s.Stage == HandoverMoving {
		s.Took = time.Since(p.begun)
	}
	return s
}

// begin notes that a handover begins.
func (p *progress) begin(inherited bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stats = HandoverStats{Stage: HandoverBegun, Inherited: inherited}
	p.begun = time.Now()
}

// update changes the numbers.
func (p *progress) update(f func(*HandoverStats)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f(&p.stats)
}

// end notes how the handover has ended.
func (p *progress) end(err error) {
	p.update(func(s *HandoverStats) {
		s.Stage, s.Err, s.Took = HandoverDone, err, time.Since(p.begun)
		if err != nil {
			s.Stage = HandoverFailed
		}
	})
}
