import CRavine
import CShims

/// What a host may bring: memory, threads, products of matrices, and other ranks.
public struct Options {
  public var allocator = ravine_allocator()
  public var parallelFor: rvn_parallel_for?
  public var parallelUser: UnsafeMutableRawPointer?
  /// nil: as `setThreads` says; 0: as many as pay.
  public var threads: Int?
  public var product: rvn_product?
  public var productUser: UnsafeMutableRawPointer?
  /// Which of how many handles that share the work it is.
  public var rank = 0
  public var world = 1
  public var allSum: rvn_all_sum?
  public var allSumUser: UnsafeMutableRawPointer?

  public init() {}
}

public typealias rvn_parallel_for =
  @convention(c) (
    UnsafeMutableRawPointer?, Int, rvn_body?, UnsafeMutableRawPointer?
  ) -> Void

nonisolated(unsafe) private var defaultThreads = 0

public func setThreads(_ count: Int32) throws(RavineError) {
  guard count >= 0, count <= 256 else {
    throw .argument("count is \(count); 0 (as many as pay) to 256 are allowed")
  }
  ravine_store(&defaultThreads, Int(count))
}

extension Options {
  /// How many threads a step over this many elements uses. Waking one costs what some hundred
  /// thousand elements cost.
  func threads(for elements: Int) -> Int {
    let wanted = threads ?? Int(ravine_load(&defaultThreads))
    if wanted > 0 { return wanted }
    return max(1, min(ravine_processors(), elements / 131_072))
  }
}
