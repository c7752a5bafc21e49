import CShims
import Testing

@testable import Kernels
@testable import Ravine

/// What the declarations promise to the parser, the engine and the bindings.
struct CatalogTests {
  static let declarations = (try? Catalog.shared().entries.map(\.declaration)) ?? []

  private func name(_ d: Declaration) -> String { d.name.description }

  @Test func namesAreUniqueAcrossKinds() {
    let names = Self.declarations.map(name)
    #expect(names.count > 10)
    #expect(Set(names).count == names.count)
  }

  @Test func namesAreSnakeCaseAndFreeInPython() {
    for d in Self.declarations {
      #expect(
        isSnakeCase(name(d)) && !keywords.contains(name(d)) && !builtins.contains(name(d)),
        "\(d.name)")
      for p in d.parameters {
        let own = p.name.description
        #expect(isSnakeCase(own) && !keywords.contains(own), "\(d.name).\(p.name)")
      }
      for s in d.slots { #expect(isSnakeCase(s.name.description), "\(d.name).\(s.name)") }
    }
  }

  @Test func namesDoNotReadAsWordsOfTheGrammar() {
    let words: Set = ["frozen", "true", "false", "inf", "x"]
    for d in Self.declarations {
      #expect(!words.contains(name(d)), "\(d.name)")
      for p in d.parameters { #expect(!words.contains(p.name.description), "\(d.name).\(p.name)") }
    }
  }

  @Test func parameterAndSlotNamesAreUnique() {
    for d in Self.declarations {
      let parameters = d.parameters.map(\.name.description), slots = d.slots.map(\.name.description)
      #expect(Set(parameters).count == parameters.count, "\(d.name)")
      #expect(Set(slots).count == slots.count, "\(d.name)")
      #expect(!slots.contains("step"), "\(d.name): rvn_optimizer_read takes 'step' for the counter")
    }
  }

  @Test func defaultsAreInRange() {
    for d in Self.declarations {
      for p in d.parameters {
        #expect(p.low <= p.high, "\(d.name).\(p.name)")
        guard let initial = p.initial else { continue }
        #expect(
          p.reject(initial) == nil, "\(d.name).\(p.name) is \(initial), outside \(p.range.string)")
      }
    }
  }

  @Test func flagsAreZeroOrOneAndWordsCountTheirWords() {
    for d in Self.declarations {
      for p in d.parameters {
        let place: Comment = "\(d.name).\(p.name)"
        if p.kind == .flag { #expect(p.low == 0 && p.high == 1, place) }
        if p.kind == .word {
          let words = p.words.map(\.description)
          #expect(words.count > 1 && Set(words).count == words.count, place)
          #expect(p.low == 0 && p.high == Double(words.count - 1) && p.initial != nil, place)
          for word in words { #expect(word.utf8.allSatisfy(isNameByte), place) }
        } else {
          #expect(p.words.isEmpty, place)
        }
      }
    }
  }

  @Test func positionalParametersWithoutADefaultComeFirst() {
    for d in Self.declarations {
      let needed = d.parameters.map { $0.initial == nil }
      #expect(needed == needed.sorted { $0 && !$1 }, "\(d.name)")
    }
  }

  @Test func everyRuleBeginsWithItsRate() {
    for d in Self.declarations where d.kind == .rule {
      #expect(
        d.parameters.first?.name.description == "lr" && d.parameters.first?.kind == .number,
        "\(d.name)")
    }
  }

  @Test func slotsReferToParameters() {
    for d in Self.declarations {
      for slot in d.slots {
        for other in [slot.when, slot.initial] {
          guard let other else { continue }
          #expect(d.index(of: Text(other)) != nil, "\(d.name).\(slot.name) names '\(other)'")
        }
      }
    }
  }

  @Test func textsAreThereAndSummariesAreOneLine() {
    func check(_ text: StaticText, lines: Bool, _ place: Comment) {
      let bytes = Text(text).bytes
      #expect(!bytes.isEmpty && bytes.first != 32 && bytes.last != 32 && bytes.last != 10, place)
      #expect(bytes.allSatisfy { $0 >= 32 && $0 < 127 || (lines && $0 == 10) }, place)
    }
    for d in Self.declarations {
      check(d.summary, lines: false, "\(d.name) summary")
      check(d.formula, lines: true, "\(d.name) formula")
      check(d.reference, lines: false, "\(d.name) reference")
      check(d.difference, lines: false, "\(d.name) difference")
      for p in d.parameters { check(p.summary, lines: false, "\(d.name).\(p.name)") }
      for s in d.slots { check(s.summary, lines: false, "\(d.name).\(s.name)") }
    }
  }

  /// The slots that lanes see: the engine keeps moments by row and by column, which stand behind them.
  private func lanes(_ d: Declaration) -> ArraySlice<Slot> {
    d.slots.prefix { $0.kind != .rows && $0.kind != .columns }
  }

  @Test func sizesAreThoseOfTheDeclaration() throws {
    let catalog = try Catalog.shared(), lane = MemoryLayout<Float.Lanes>.size
    for r in catalog.rules {
      let d = r.declaration
      #expect(r.hyperSize == 8 * own(d).count, "\(d.name)")
      let seen = lanes(d).count
      #expect(r.stateSize == lane * seen, "\(d.name)")
      let behind = d.slots[seen...].map { $0.kind }
      #expect(behind == (r.factors == nil ? [] : [.rows, .columns]), "\(d.name)")
      #expect(r.measuresSize == lane * d.measures.count, "\(d.name)")
      #expect(
        d.slots.count <= RAVINE_MAX_SLOTS && d.measures.count <= RAVINE_MAX_MEASURES, "\(d.name)")
    }
    for s in catalog.stages {
      #expect(s.hyperSize == 8 * s.declaration.parameters.count, "\(s.declaration.name)")
      // What the engine itself fills is no state of lanes.
      let lanes = s.stateSize > 0 ? s.declaration.slots.count : 0
      #expect(s.stateSize == lane * lanes, "\(s.declaration.name)")
    }
    // The last pair of the table of stages only scales.
    #expect(catalog.rules.count <= RAVINE_MAX_ENTRIES && catalog.stages.count < RAVINE_MAX_ENTRIES)
  }

  @Test func everyKernelIsThere() throws {
    let catalog = try Catalog.shared()
    for i in 0..<2 * catalog.rules.count { #expect(catalog.kernels.rule[i] != nil) }
    for i in 0..<2 * (catalog.stages.count + 1) {
      let engine = i / 2 < catalog.stages.count && catalog.stages[i / 2].storing != .plain
      #expect(catalog.kernels.stage[i] != nil || catalog.kernels.update[i] != nil || engine)
    }
    for i in 0..<8 { #expect(catalog.kernels.measure[i] != nil) }
    for i in 2..<10 { #expect(catalog.kernels.load[i] != nil && catalog.kernels.store[i] != nil) }
  }

  /// The parameters that a rule's own code sees: the last of one with moments is the engine's.
  private func own(_ d: Declaration) -> [String] {
    let names = d.parameters.map(\.name.description)
    let moments = d.slots.contains { $0.kind == .signed || $0.kind == .positive }
    #expect(d.kind != .rule || moments == (names.last == "moments"), "\(d.name)")
    return moments ? Array(names.dropLast()) : names
  }

  // MARK: the structs behind the declarations

  @Test func membersStandInTheOrderOfTheDeclaration() {
    var shapes = Shapes()
    eachRule(&shapes)
    eachStage(&shapes)
    #expect(shapes.found.count > 15)
    for shape in shapes.found {
      let d = shape.declaration
      #expect(shape.hyper.map(snakeCase) == own(d), "\(d.name)")
      if let state = shape.state {
        #expect(state.map(snakeCase) == lanes(d).map(\.name.description), "\(d.name)")
      }
      #expect(shape.measures.map(snakeCase) == d.measures.map(\.description), "\(d.name)")
    }
  }

  @Test func scalarsOfAStepFitTheirPlace() {
    var shapes = Shapes()
    eachRule(&shapes)
    eachStage(&shapes)
    for shape in shapes.found {
      #expect(shape.constants <= RAVINE_MAX_CONSTANTS, "\(shape.declaration.name)")
    }
  }
}

/// What reflection sees of each rule and stage, once for Float and once for Double.
extension StageEntry {
  fileprivate var storing: Storing {
    let none = [Double](repeating: 0, count: 16)
    return none.withUnsafeBufferPointer { facts($0.baseAddress!).storing }
  }
}

private struct Shapes: Visitor {
  struct Shape {
    let declaration: Declaration
    var hyper: [String]
    var state: [String]? = nil
    var measures: [String] = []
    /// The size of the struct itself: its per-step scalars.
    let constants: Int
  }

  var found: [Shape] = []

  mutating func rule<F: LaneRule, D: LaneRule>(
    _: F.Type, _: @escaping ravine_rule_kernel, _: D.Type, _: @escaping ravine_rule_kernel
  ) {
    found += [shape(F.self), shape(D.self)]
  }

  mutating func rule<F: MeasuringRule, D: MeasuringRule>(
    _: F.Type, _: @escaping ravine_rule_kernel, _: D.Type, _: @escaping ravine_rule_kernel
  ) {
    var both = (shape(F.self), shape(D.self))
    both.0.measures = labels(F.Measures.self)
    both.1.measures = labels(D.Measures.self)
    found += [both.0, both.1]
  }

  mutating func rule<F: SharedRule, D: SharedRule>(
    _: F.Type, _: @escaping ravine_rule_kernel, _: D.Type, _: @escaping ravine_rule_kernel
  ) {
    var both = (shape(F.self), shape(D.self))
    both.0.measures = labels(F.Measures.self)
    both.1.measures = labels(D.Measures.self)
    found += [both.0, both.1]
  }

  mutating func rule<F: MatrixRule, D: MatrixRule>(
    _: F.Type, _: @escaping ravine_rule_kernel, _: D.Type, _: @escaping ravine_rule_kernel
  ) {
    found += [
      Shape(
        declaration: F.declaration, hyper: labels(F.Hyper.self), state: labels(F.State.self),
        constants: MemoryLayout<F>.size),
      Shape(
        declaration: D.declaration, hyper: labels(D.Hyper.self), state: labels(D.State.self),
        constants: MemoryLayout<D>.size),
    ]
  }

  mutating func stage<F: DeclaredStage, D: DeclaredStage>(
    _: F.Type, _: @escaping ravine_stage_kernel, _: D.Type, _: @escaping ravine_stage_kernel
  ) {
    found += [
      Shape(
        declaration: F.declaration, hyper: labels(F.Hyper.self), constants: MemoryLayout<F>.size),
      Shape(
        declaration: D.declaration, hyper: labels(D.Hyper.self), constants: MemoryLayout<D>.size),
    ]
  }

  mutating func update<F: UpdateStage, D: UpdateStage>(
    _: F.Type, _: @escaping ravine_rule_kernel, _: D.Type, _: @escaping ravine_rule_kernel
  ) {
    found += [
      Shape(
        declaration: F.declaration, hyper: labels(F.Hyper.self), state: labels(F.State.self),
        constants: MemoryLayout<F>.size),
      Shape(
        declaration: D.declaration, hyper: labels(D.Hyper.self), state: labels(D.State.self),
        constants: MemoryLayout<D>.size),
    ]
  }

  mutating func update<F: MeasuringUpdate, D: MeasuringUpdate>(
    _: F.Type, _: @escaping ravine_rule_kernel, _: D.Type, _: @escaping ravine_rule_kernel
  ) {
    found += [
      Shape(
        declaration: F.declaration, hyper: labels(F.Hyper.self), constants: MemoryLayout<F>.size),
      Shape(
        declaration: D.declaration, hyper: labels(D.Hyper.self), constants: MemoryLayout<D>.size),
    ]
  }

  mutating func storing<S: StoringStage>(_: S.Type) {
    found.append(Shape(declaration: S.declaration, hyper: labels(S.Hyper.self), constants: 0))
  }

  mutating func either<F: DeclaredStage & UpdateStage, D: DeclaredStage & UpdateStage>(
    _: F.Type, _: @escaping ravine_stage_kernel, _: @escaping ravine_rule_kernel,
    _: D.Type, _: @escaping ravine_stage_kernel, _: @escaping ravine_rule_kernel
  ) {
    found += [
      Shape(
        declaration: F.declaration, hyper: labels(F.Hyper.self), constants: MemoryLayout<F>.size),
      Shape(
        declaration: D.declaration, hyper: labels(D.Hyper.self), constants: MemoryLayout<D>.size),
    ]
  }

  private func shape<R: LaneRule>(_: R.Type) -> Shape {
    Shape(
      declaration: R.declaration, hyper: labels(R.Hyper.self), state: labels(R.State.self),
      constants: MemoryLayout<R>.size)
  }

  /// The names of the members of a struct of numbers, in order.
  private func labels<T>(_: T.Type) -> [String] {
    let size = max(1, MemoryLayout<T>.size)
    let zeros = UnsafeMutableRawPointer.allocate(byteCount: size, alignment: 64)
    defer { zeros.deallocate() }
    zeros.initializeMemory(as: UInt8.self, repeating: 0, count: size)
    return Mirror(reflecting: zeros.load(as: T.self)).children.compactMap(\.label)
  }
}

/// "weightDecay" as "weight_decay".
private func snakeCase(_ label: String) -> String {
  label.reduce(into: "") { $0 += $1.isUppercase ? "_" + $1.lowercased() : String($1) }
}

private func isSnakeCase(_ name: String) -> Bool {
  guard let first = name.utf8.first, first >= UInt8(ascii: "a"), first <= UInt8(ascii: "z") else {
    return false
  }
  return name.utf8.allSatisfy { isNameByte($0) && $0 != UInt8(ascii: ".") }
    && name == name.lowercased()
    && !name.contains("__") && !name.hasSuffix("_")
}

private let keywords = Set(
  """
  and as assert async await break case class continue def del elif else except finally for from global if \
  import in is lambda match nonlocal not or pass raise return try type while with yield
  """.split(separator: " ").map(String.init))

private let builtins = Set(
  """
  abs aiter all anext any ascii bin bool breakpoint bytearray bytes callable chr classmethod compile complex \
  copyright credits delattr dict dir divmod enumerate eval exec exit filter float format frozenset getattr \
  globals hasattr hash help hex id input int isinstance issubclass iter len license list locals map max \
  memoryview min next object oct open ord pow print property quit range repr reversed round set setattr \
  slice sorted staticmethod str sum super tuple type vars zip
  """.split(separator: " ").map(String.init))
