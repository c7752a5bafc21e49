import CRavine
import CShims
import Kernels

/// What the host added to the catalog, for the life of the process. One registry for all kinds: a
/// dotted name means one thing.
///
/// Readers take no lock. An entry is complete before the count that shows it, and neither changes nor
/// moves nor goes away.
final class Registry {
  /// What makes an entry work: one of the three, and the code of a rule or a stage. No enum: it would keep
  /// its case in a pointer, where tools that look for leaks do not see what it points to.
  struct Work {
    var schedule: ScheduleEntry?
    var rule: RuleEntry?
    var stage: StageEntry?
    var code: UnsafePointer<HostCode>?
  }

  final class Item {
    let entry: Catalog.Entry
    let work: Work
    /// Holds the text.
    private let heap: Heap

    init(_ entry: Catalog.Entry, _ work: Work, _ heap: Heap) {
      (self.entry, self.work, self.heap) = (entry, work, heap)
    }
  }

  private let items: UnsafeMutablePointer<UnsafeMutableRawPointer?>
  private let shown: UnsafeMutablePointer<Int>

  private init(
    _ items: UnsafeMutablePointer<UnsafeMutableRawPointer?>, _ shown: UnsafeMutablePointer<Int>
  ) {
    (self.items, self.shown) = (items, shown)
  }

  static func make(_ heap: Heap) throws(RavineError) -> Registry {
    Registry(
      try heap.zeros(UnsafeMutableRawPointer?.self, Limits.registered),
      try heap.zeros(Int.self, 1))
  }

  var count: Int { ravine_load(shown) }

  subscript(_ i: Int) -> Item {
    precondition(i >= 0 && i < count)
    return Unmanaged<Item>.fromOpaque(items[i].unsafelyUnwrapped).takeUnretainedValue()
  }

  /// Adds an item. The caller holds the catalog's lock.
  fileprivate func append(_ item: Item) throws(RavineError) {
    let n = count
    guard n < Limits.registered else {
      throw .state("\(Limits.registered) names are registered, which is the limit")
    }
    try checkMemory()
    items[n] = Unmanaged.passRetained(item).toOpaque()
    ravine_store(shown, n + 1)
  }
}

extension Catalog {
  /// Adds a schedule of the host, for all recipes that are read from now on.
  public func register(_ host: HostSchedule) throws(RavineError) {
    try register(
      host.declaration, Registry.Work(schedule: host.entry), after: schedules.count, host.heap)
  }

  /// Adds a rule of the host, or a stage.
  public func register(_ host: HostRule) throws(RavineError) {
    if host.declaration.kind == .rule {
      try register(
        host.declaration, Registry.Work(rule: host.rule, code: host.code), after: rules.count,
        host.heap)
    } else {
      try register(
        host.declaration, Registry.Work(stage: host.stage, code: host.code), after: stages.count,
        host.heap)
    }
  }

  private func register(
    _ declaration: Declaration, _ work: Registry.Work, after own: Int, _ heap: Heap
  ) throws(RavineError) {
    ravine_catalog_lock()
    defer { ravine_catalog_unlock() }
    let name = Text(declaration.name)
    if find(name) != nil {
      throw .name("'\(name)' is registered already, and stays so until the process ends")
    }
    let row = own + registry.count
    try registry.append(Registry.Item(try entry(declaration, row, heap), work, heap))
  }

  // Rows of the host come behind the library's own of the same kind.

  func schedule(_ row: Int) -> ScheduleEntry {
    if row >= schedules.count, let found = registry[row - schedules.count].work.schedule {
      return found
    }
    return schedules[row]
  }

  func rule(_ row: Int) -> RuleEntry {
    if row >= rules.count, let found = registry[row - rules.count].work.rule { return found }
    return rules[row]
  }

  func stage(_ row: Int) -> StageEntry {
    if row >= stages.count, let found = registry[row - stages.count].work.stage { return found }
    return stages[row]
  }

  /// What runs the rule of a row, where it is the host's.
  func code(ofRule row: Int) -> UnsafePointer<HostCode>? {
    row >= rules.count ? registry[row - rules.count].work.code : nil
  }

  func code(ofStage row: Int) -> UnsafePointer<HostCode>? {
    row >= stages.count ? registry[row - stages.count].work.code : nil
  }
}

/// Names of the host have a dot, so that they never meet those of a later version of the library.
func checkHostName(_ name: Text) throws(RavineError) {
  var starts = true, dots = 0
  for c in name.bytes {
    if starts ? !isNameStart(c) : !isNameByte(c) { throw notAHostName(name) }
    starts = c == UInt8(ascii: ".")
    if starts { dots += 1 }
  }
  if starts || dots == 0 || name.bytes.count > Limits.name { throw notAHostName(name) }
  // x2.rate would be two times in a clause.
  if name.bytes[0] == UInt8(ascii: "x"), isDigit(name.bytes[1]) { throw notAHostName(name) }
}

private func notAHostName(_ name: Text) -> RavineError {
  .name(
    "'\(name)' is no name for an entry of the host: two or more words of letters, digits and _ that begin with a letter, but not with x and a digit, joined by dots, as in myapp.decay; at most \(Limits.name) bytes"
  )
}
