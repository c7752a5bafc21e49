/// What the flight recorder keeps of a step. Plain memory.
struct FlightRow: BitwiseCopyable {
  var step: UInt64 = 0
  var loss = Double.nan
  /// 2-norm over all gradients of parameters.
  var gradient = Double.nan
  /// Its largest element, where it stands, and at which index.
  var largest = Double.nan
  var subject = -1
  var index = -1
  /// The largest ratio of update and weight.
  var ratio = Double.nan
  var lr = Double.nan
  var clipScale = Double.nan
  var nonfinite = 0
}

/// The last steps, and what they were when something happened first. Plain memory.
struct Recorder: BitwiseCopyable {
  /// As Hugging Face's DebugUnderflowOverflow: 21 before the event, and the event.
  static var length: Int { 22 }

  private let rows: UnsafeMutablePointer<FlightRow>
  private(set) var count = 0
  /// Frozen copies: of a value that is not finite, and of a spike.
  private let frozen: UnsafeMutablePointer<FlightRow>
  private(set) var frozenCount = 0
  private(set) var frozenEvent = Event.none

  enum Event: Int, BitwiseCopyable { case none, spike, growth, nonfinite }

  init(_ memory: UnsafeMutablePointer<FlightRow>) {
    rows = memory
    frozen = memory + Recorder.length
  }

  mutating func push(_ row: FlightRow) {
    if count == Recorder.length {
      for i in 1..<count { rows[i - 1] = rows[i] }
      count -= 1
    }
    rows[count] = row
    count += 1
  }

  /// Keeps the rows, unless those of something as bad are kept already.
  mutating func freeze(_ event: Event) {
    guard event.rawValue > frozenEvent.rawValue else { return }
    frozenEvent = event
    frozenCount = count
    for i in 0..<count { frozen[i] = rows[i] }
  }

  func frozenRow(_ i: Int) -> FlightRow { frozen[i] }
}
