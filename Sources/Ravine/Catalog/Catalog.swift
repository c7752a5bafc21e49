import CRavine
import CShims
import Kernels

/// All that recipes can name, in the order of the documentation.
public final class Catalog {
  /// One entry: its declaration, and its place among the entries of its kind.
  public struct Entry {
    public let declaration: Declaration
    let row: Int
    /// The defaults as text, ended by NUL; they live as long as the process.
    public let initials: [UnsafePointer<CChar>]
    /// The words of each parameter, separated by spaces, likewise.
    public let words: [UnsafePointer<CChar>]

    public var name: Text { Text(declaration.name) }
  }

  let rules: [RuleEntry]
  let stages: [StageEntry]
  let schedules: [ScheduleEntry]
  let initializers: [InitializerEntry]
  /// The library's own; those of the host come behind them.
  public private(set) var entries: [Entry]
  let registry: Registry
  private(set) var kernels: ravine_kernels
  /// Holds the text and the tables of kernels.
  private let heap: Heap

  private init(_ found: Entries, _ registry: Registry, _ heap: Heap) {
    rules = found.rules
    stages = found.stages
    schedules = allSchedules()
    initializers = allInitializers()
    self.registry = registry
    self.heap = heap
    entries = []
    kernels = ravine_kernels()
  }

  /// Made once, by `Catalog.shared`, with the process's own memory.
  fileprivate static func make() throws(RavineError) -> Catalog {
    let heap = Heap(ravine_allocator())
    let catalog = Catalog(Entries(), try Registry.make(heap), heap)
    var all: [Entry] = []
    for (row, r) in catalog.rules.enumerated() { all.append(try entry(r.declaration, row, heap)) }
    for (row, s) in catalog.stages.enumerated() { all.append(try entry(s.declaration, row, heap)) }
    for (row, s) in catalog.schedules.enumerated() {
      all.append(try entry(s.declaration, row, heap))
    }
    for (row, i) in catalog.initializers.enumerated() {
      all.append(try entry(i.declaration, row, heap))
    }
    catalog.entries = all
    // The best instruction set that this machine has and RAVINE_ISA allows.
    catalog.kernels = try makeKernels(ravine_isa_level(), heap)
    try checkMemory()
    return catalog
  }

  /// Of all entries: the library's own, then those of the host in the order they were registered in.
  public var count: Int { entries.count + registry.count }

  public subscript(_ i: Int) -> Entry {
    i < entries.count ? entries[i] : registry[i - entries.count].entry
  }

  func find(_ name: Text) -> Int? {
    for i in 0..<count where name == self[i].declaration.name { return i }
    return nil
  }

  func names(_ kinds: [Declaration.Kind]) -> [Text] {
    var out: [Text] = []
    for i in 0..<count where kinds.contains(where: { $0 == self[i].declaration.kind }) {
      out.append(self[i].name)
    }
    return out
  }
}

extension Declaration.Kind {
  public var word: StaticText {
    switch self {
    case .rule: "rule"
    case .stage: "stage"
    case .schedule: "schedule"
    case .initializer: "init"
    }
  }

  /// As sentences name one.
  var phrase: StaticText {
    switch self {
    case .rule: "a rule"
    case .stage: "a stage"
    case .schedule: "a schedule"
    case .initializer: "an initializer"
    }
  }
}

func entry(_ d: Declaration, _ row: Int, _ heap: Heap) throws(RavineError) -> Catalog.Entry {
  var initials: [UnsafePointer<CChar>] = [], words: [UnsafePointer<CChar>] = []
  for parameter in d.parameters {
    initials.append(try keep(parameter.initial.map { print($0, as: parameter) } ?? Text(), heap))
    var joined = Text()
    for (i, word) in parameter.words.enumerated() {
      if i > 0 { joined.append(" ") }
      joined.append(Text(word))
    }
    words.append(try keep(joined, heap))
  }
  return Catalog.Entry(declaration: d, row: row, initials: initials, words: words)
}

/// A copy ended by NUL.
func keep(_ text: Text, _ heap: Heap) throws(RavineError) -> UnsafePointer<CChar> {
  let memory = try heap.zeros(CChar.self, text.bytes.count + 1)
  for i in 0..<text.bytes.count { memory[i] = CChar(bitPattern: text.bytes[i]) }
  return UnsafePointer(memory)
}

/// The kernels of a level of instruction sets; where it brings none, those of the level below.
func makeKernels(_ level: Int32, _ heap: Heap) throws(RavineError) -> ravine_kernels {
  var kernels = try emptyKernels(heap)
  ravine_kernels_baseline(&kernels)
  #if arch(x86_64)
  if level >= 3 { ravine_kernels_avx2(&kernels) }
  if level >= 4 { ravine_kernels_avx512(&kernels) }
  #endif
  return kernels
}

/// Tables to be filled.
private func emptyKernels(_ heap: Heap) throws(RavineError) -> ravine_kernels {
  let rows = 2 * RAVINE_MAX_ENTRIES
  var kernels = ravine_kernels()
  kernels.rule = try heap.zeros(ravine_rule_kernel?.self, rows)
  kernels.stage = try heap.zeros(ravine_stage_kernel?.self, rows)
  kernels.update = try heap.zeros(ravine_rule_kernel?.self, rows)
  kernels.measure = try heap.zeros(ravine_measure_kernel?.self, rows)
  kernels.unit = try heap.zeros(ravine_unit_kernel?.self, rows)
  kernels.load = try heap.zeros(ravine_convert_kernel?.self, rows)
  kernels.store = try heap.zeros(ravine_convert_kernel?.self, rows)
  kernels.map.0 = try dynamicMap(positive: false, heap)
  kernels.map.1 = try dynamicMap(positive: true, heap)
  return kernels
}

/// What codes of 8 bits stand for.
private func dynamicMap(positive: Bool, _ heap: Heap) throws(RavineError) -> UnsafePointer<Float> {
  let map = try heap.zeros(Float.self, Dynamic.size)
  Dynamic.map(positive, map)
  return UnsafePointer(map)
}

// Swift's own once is not safe between threads in Embedded Swift, so the shims keep the guard.
nonisolated(unsafe) private var made: Catalog?

extension Catalog {
  public static func shared() throws(RavineError) -> Catalog {
    ravine_once {
      var scope = ravine_scope()
      ravine_enter(&scope, nil)
      made = try? Catalog.make()
      ravine_leave(&scope)
      return made == nil ? 0 : 1
    }
    guard let made else { throw .memory }
    return made
  }
}
