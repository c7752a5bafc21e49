import CShims

/// Where a finding holds, one of possibly many places.
struct Place: BitwiseCopyable {
  var subject: Int
  var value: Double
}

/// One thing that is wrong.
struct Finding {
  var judge = 0
  var code: StaticText = ""
  var title: StaticText = ""
  var severity = Severity.note
  /// "layers 0 to 7"
  var place = Text()
  /// What was measured, and the limit that it passed.
  var value = 0.0
  var limit = 0.0
  var limitName: StaticText = ""
  /// Steps that were looked at.
  var window = 0
  var evidence = Text()
  var advice = Text()
  var source: StaticText = ""
  /// Further numbers, by name.
  var measured: [(name: StaticText, value: Double)] = []
  var places: UnsafeMutablePointer<Place>?
  var placeCount = 0
}

/// The making of one report: what judges read, and where their findings go.
final class Inquiry {
  let monitor: Monitor
  let heap: Heap
  private(set) var findings: [Finding] = []
  /// Codes that could not be judged: nothing was recorded for them.
  private(set) var unjudged: [Int] = []
  private var current = 0
  private var judged = false
  /// Room for the pairs of a slope.
  let scratch: UnsafeMutablePointer<Double>

  static func make(_ monitor: Monitor) throws(RavineError) -> Inquiry {
    let heap = Heap(monitor.allocator)
    return Inquiry(monitor, heap, try heap.allocate(Double.self, Monitor.scratchSize))
  }

  private init(_ monitor: Monitor, _ heap: Heap, _ scratch: UnsafeMutablePointer<Double>) {
    self.monitor = monitor
    self.heap = heap
    self.scratch = scratch
  }

  /// Asks every judge, and puts the worst first.
  func run() throws(RavineError) {
    for (i, entry) in monitor.judges.enumerated() {
      current = i
      judged = false
      try entry.judge(self)
      if !judged { unjudged.append(i) }
      try checkMemory()
    }
    // By insertion: there are a few dozen, and those of one severity stay in the order of judges.
    for i in 1..<max(1, findings.count) {
      var j = i
      while j > 0, findings[j].severity.rawValue > findings[j - 1].severity.rawValue {
        findings.swapAt(j, j - 1)
        j -= 1
      }
    }
  }

  /// Says that there was something to judge by.
  func consider() { judged = true }

  /// A limit of the judge in progress.
  func limit(_ name: StaticText) -> Double { monitor.limit(current, name) }

  func add(_ finding: Finding) throws(RavineError) {
    var finding = finding
    let d = monitor.judges[current].declaration
    finding.judge = current
    finding.code = d.code
    if finding.title.isEmpty { finding.title = d.title }
    if finding.advice.isEmpty { finding.advice = Text(d.advice) }
    if finding.source.isEmpty { finding.source = d.source }
    findings.append(finding)
    try checkMemory()
  }

  /// A list of places to be filled, for as many as there are subjects.
  func places() -> PlaceList { PlaceList(heap) }
}

/// Places of a finding, worst first once they were sorted.
struct PlaceList: ~Copyable {
  private var table: Table<Place>

  init(_ heap: Heap) { table = Table(heap) }

  var count: Int { table.count }
  subscript(_ i: Int) -> Place { table[i] }

  mutating func append(_ subject: Int, _ value: Double) throws(RavineError) {
    try table.append(Place(subject: subject, value: value))
  }

  mutating func setValue(_ i: Int, _ value: Double) { table[i].value = value }

  /// Worst first: the largest value, or the smallest. A heap sort.
  mutating func sort(largestFirst: Bool) {
    for root in stride(from: table.count / 2 - 1, through: 0, by: -1) {
      sift(root, table.count, largestFirst)
    }
    for end in stride(from: table.count - 1, to: 0, by: -1) {
      swap(0, end)
      sift(0, end, largestFirst)
    }
  }

  private mutating func sift(_ start: Int, _ end: Int, _ largestFirst: Bool) {
    var root = start
    while 2 * root + 1 < end {
      var child = 2 * root + 1
      if child + 1 < end, precedes(child, child + 1, largestFirst) { child += 1 }
      guard precedes(root, child, largestFirst) else { return }
      swap(root, child)
      root = child
    }
  }

  private func precedes(_ i: Int, _ j: Int, _ largestFirst: Bool) -> Bool {
    let a = table[i], b = table[j]
    if a.value != b.value { return largestFirst ? a.value > b.value : a.value < b.value }
    return a.subject < b.subject
  }

  private mutating func swap(_ i: Int, _ j: Int) {
    let moved = table[i]
    table[i] = table[j]
    table[j] = moved
  }

  /// A copy in the report's memory, for a finding.
  func publish(_ heap: Heap, to finding: inout Finding) throws(RavineError) {
    let copy = try heap.allocate(Place.self, max(1, count))
    for i in 0..<count { copy[i] = table[i] }
    finding.places = copy
    finding.placeCount = count
  }
}
